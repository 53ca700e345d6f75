"""Readers of data sets: our own folders, and the layouts in which public ones come."""
