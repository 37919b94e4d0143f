"""Compile monocular depth networks for edge chips, with proof of their quality."""

__version__ = "0.1.0"
