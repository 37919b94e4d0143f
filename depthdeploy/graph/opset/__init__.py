"""What operators were called, and how they were written, in older versions of ONNX."""
