"""What plug-in authors test with."""
