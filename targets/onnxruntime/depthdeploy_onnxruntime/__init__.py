"""ONNX Runtime on CPUs as a target."""
