"""Ranges, plans and Q/DQ graphs."""
