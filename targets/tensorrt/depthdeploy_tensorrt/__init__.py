"""TensorRT on Jetson boards as a target."""
