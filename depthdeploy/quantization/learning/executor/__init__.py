"""ONNX graphs run in PyTorch, so that rounding, ranges and weights can be learned by gradients."""
