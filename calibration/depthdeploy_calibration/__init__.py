"""Calibration sets, depth data sets and the built-in rendered samples."""
