"""Run a bundle: engines and sessions. No torch."""
