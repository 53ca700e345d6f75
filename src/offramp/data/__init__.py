"""Labelled images on disk: reading, checking, making synthetic ones. No torch."""
