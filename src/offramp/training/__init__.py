"""Train a multi-exit network in two stages (MESS §4.3); Lightning drives the loop."""
