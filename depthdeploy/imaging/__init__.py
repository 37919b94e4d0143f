"""Photographs to tensors and predictions back to photographs."""
