"""Horizon and D-Robotics RDK boards as a target."""
