"""Graph passes and support checks."""
