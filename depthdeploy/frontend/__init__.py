"""From PyTorch or a foreign file to ONNX."""
