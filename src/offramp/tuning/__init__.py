"""From a network that is too slow to one that fits: candidates, stage by stage (IOT)."""
