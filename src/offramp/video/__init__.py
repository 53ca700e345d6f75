"""Frames from images, folders and video files, and what is written of the answers."""
