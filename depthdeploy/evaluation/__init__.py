"""Alignment, metrics and comparison."""
