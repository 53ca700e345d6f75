"""Serve a bundle over HTTP: an inference protocol, cameras, events, metrics and a page."""
