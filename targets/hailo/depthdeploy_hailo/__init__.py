"""Hailo as a target."""
