"""When to stop: decisions from scores alone. Pure arithmetic, no network in sight."""
