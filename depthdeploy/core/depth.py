"""What goes into a depth network and what comes out: the two contracts that every figure depends on."""

from dataclasses import dataclass, replace
from enum import Enum

from depthdeploy.core.host_tail import HostTail


class ColorOrder(Enum):
    """The order of an image's channels."""

    RGB = "rgb"
    BGR = "bgr"


class Layout(Enum):
    """The order of an image tensor's dimensions."""

    NCHW = "nchw"
    NHWC = "nhwc"


class ResizeRule(Enum):
    """How a photograph of any size becomes the network's size."""

    SQUASH = "squash"
    """Both sides to the network's, the aspect ratio is not kept."""
    CROP = "crop"
    """The aspect ratio is kept, the photograph covers the input, what stands over is cut off evenly."""
    PAD = "pad"
    """The aspect ratio is kept, the whole photograph is inside, the rest is filled with the mean colour."""


class Interpolation(Enum):
    """How pixels are resampled (Pillow's filters; antialiased when shrinking)."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


class InputForm(Enum):
    """What the numbers of an input tensor are, and with it who normalises."""

    NORMALIZED = "normalized"
    """float32, normalised by whoever feeds the network."""
    RAW = "raw"
    """float32, whole numbers in 0..255: the network normalises its pixels itself."""
    UINT8 = "uint8"
    """uint8, as a camera gives it: the network normalises its pixels itself."""

    @property
    def dtype(self) -> str:
        """Numpy's name of the element type."""
        return "uint8" if self is InputForm.UINT8 else "float32"


@dataclass(frozen=True, slots=True)
class InputContract:
    """How an RGB photograph in 0..255 becomes the network's input tensor.

    ``tensor = (pixel / 255 * scale - mean) / std`` per channel, in ``color`` order, float32; in the other forms the
    tensor holds the pixels themselves and the network applies the same formula inside.

    Attributes:
        height: rows of the input, a multiple of ``multiple``.
        width: columns of the input, a multiple of ``multiple``.
        mean: per channel, in units of ``scale``, in ``color`` order.
        std: per channel, positive, in units of ``scale``, in ``color`` order.
        scale: what white becomes before mean and std: 1.0 or 255.0.
        color: the channel order.
        layout: the dimension order of the tensor.
        resize: how the aspect ratio is handled.
        interpolation: how pixels are resampled.
        multiple: the sides are multiples of this (32 for MiDaS, 14 for Depth Anything).
        form: what the tensor's numbers are.
    """

    height: int
    width: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    color: ColorOrder = ColorOrder.RGB
    layout: Layout = Layout.NCHW
    resize: ResizeRule = ResizeRule.SQUASH
    interpolation: Interpolation = Interpolation.BICUBIC
    multiple: int = 1
    form: InputForm = InputForm.NORMALIZED

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise ValueError(f"sides must be positive, got {self.height}x{self.width}")
        if self.multiple <= 0 or self.height % self.multiple or self.width % self.multiple:
            raise ValueError(f"sides must be multiples of {self.multiple}, got {self.height}x{self.width}")
        if len(self.mean) != 3 or len(self.std) != 3 or any(not s > 0 for s in self.std):
            raise ValueError(f"mean and std have 3 values each, every std positive; got {self.mean}, {self.std}")
        if not self.scale > 0:
            raise ValueError(f"scale must be positive, got {self.scale}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The tensor's shape, batch 1."""
        if self.layout is Layout.NCHW:
            return (1, 3, self.height, self.width)
        return (1, self.height, self.width, 3)

    @property
    def fill(self) -> tuple[int, int, int]:
        """The pixel values that come nearest to the mean colour, in ``color`` order: what padding fills with."""
        values = [min(255, max(0, round(mean * 255 / self.scale))) for mean in self.mean]
        return values[0], values[1], values[2]

    def recolored(self, color: ColorOrder) -> "InputContract":
        """The same normalisation of the same photograph with its channels in another order."""
        if color is self.color:
            return self
        mean, std = self.mean, self.std
        return replace(self, color=color, mean=(mean[2], mean[1], mean[0]), std=(std[2], std[1], std[0]))

    def sized(self, height: int, width: int) -> "InputContract":
        """The same contract for another size.

        Raises:
            ValueError: a side is not a positive multiple of ``multiple``.
        """
        return replace(self, height=height, width=width)


class DepthKind(Enum):
    """What a prediction means, and with it its sign and its free parameters."""

    METRIC_DEPTH = "metric-depth"
    """Metres, larger is farther."""
    RELATIVE_DEPTH = "relative-depth"
    """Depth up to an unknown scale, larger is farther."""
    INVERSE_DEPTH = "inverse-depth"
    """Inverse depth up to an unknown scale and shift, larger is nearer (MiDaS, Depth Anything)."""

    @property
    def nearer_is_larger(self) -> bool:
        """Whether a nearer point has the larger prediction."""
        return self is DepthKind.INVERSE_DEPTH


class Alignment(Enum):
    """What is fitted per image before a dense metric is computed."""

    NONE = "none"
    """Nothing: metres against metres."""
    MEDIAN = "median"
    """One scale: the ratio of medians over the valid pixels."""
    AFFINE = "affine"
    """Least-squares scale and shift in inverse depth."""


@dataclass(frozen=True, slots=True)
class DepthContract:
    """What a network's output means.

    Attributes:
        kind: metric depth, relative depth or inverse depth.
        near: the nearest depth in metres that the network was trained on; metric kinds only.
        far: the farthest depth in metres that the network was trained on; metric kinds only. Evaluation clips to the
            data set's range, not to these.
        tail: what the host computes from the accelerator's output to get there; ``None`` where the network gives it.
    """

    kind: DepthKind
    near: float | None = None
    far: float | None = None
    tail: HostTail | None = None

    def __post_init__(self) -> None:
        if (self.near is None) != (self.far is None):
            raise ValueError("near and far are given together")
        if self.near is not None and self.far is not None and not 0 < self.near < self.far:
            raise ValueError(f"0 < near < far must hold, got {self.near} and {self.far}")

    @property
    def alignment(self) -> Alignment:
        """The alignment that the kind's free parameters ask for."""
        match self.kind:
            case DepthKind.METRIC_DEPTH:
                return Alignment.NONE
            case DepthKind.RELATIVE_DEPTH:
                return Alignment.MEDIAN
            case DepthKind.INVERSE_DEPTH:
                return Alignment.AFFINE
