"""Shapes and element types of a graph's inputs and outputs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor with a static shape.

    Attributes:
        name: the tensor's name in the graph.
        dtype: numpy's name of the element type, such as ``float32`` or ``uint8``.
        shape: every dimension, all positive.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(size <= 0 for size in self.shape):
            raise ValueError(f"{self.name}: every dimension must be positive, got {self.shape}")

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{'x'.join(str(size) for size in self.shape)}]"
