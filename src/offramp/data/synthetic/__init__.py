"""Synthetic pictures with exact masks, drawn with numpy and Pillow alone."""
