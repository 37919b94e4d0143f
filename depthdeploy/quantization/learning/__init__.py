"""Algorithms that learn by gradients. Only what stands here may import PyTorch."""
