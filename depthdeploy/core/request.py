"""What a user asks for, checked before anything runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from depthdeploy.core.depth import ColorOrder, DepthKind, Interpolation, Layout, ResizeRule
from depthdeploy.core.ends import EndOptions
from depthdeploy.core.support import Allowances, FallbackLimit
from depthdeploy.errors import UsageError

#: The network that is compiled when neither ``--model`` nor ``--onnx`` is given.
DEFAULT_MODEL = "midas-v21-small"

#: How a network is quantized when nobody says.
DEFAULT_RECIPE = "fast"

#: Where algorithms that learn can run.
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Drop:
    """A limit on what the artifact may lose, such as ``delta1=0.5``.

    Attributes:
        metric: ``delta1`` (fidelity: 100 less delta1), ``ordinal`` (FP32 accuracy less the artifact's) or ``dense``
            (FP32 delta1 against measured depth less the artifact's).
        limit: percentage points, not negative.
    """

    metric: str
    limit: float

    METRICS = ("delta1", "ordinal", "dense")

    def __post_init__(self) -> None:
        if self.metric not in self.METRICS or not self.limit >= 0:
            raise UsageError(
                f"--max-drop {self.metric}={self.limit} is not a limit.",
                f"Give one of {', '.join(self.METRICS)} and percentage points, as in delta1=0.5.",
            )

    @classmethod
    def parse(cls, text: str) -> Drop:
        """From ``metric=points``.

        Raises:
            UsageError: the text has another form.
        """
        metric, _, value = text.partition("=")
        try:
            return cls(metric.strip(), float(value))
        except ValueError as cause:
            raise UsageError(f"--max-drop {text!r} is not metric=points.", "Write it as in delta1=0.5.") from cause


@dataclass(frozen=True, slots=True)
class InputOptions:
    """What a user says about a foreign network's input; ``None`` means nothing was said.

    Attributes:
        mean: per channel, in units of ``scale``.
        std: per channel, in units of ``scale``.
        scale: what white becomes: 1.0 or 255.0.
        color: the channel order.
        layout: the dimension order.
        resize: how the aspect ratio is handled; also a change for a model of the zoo.
        interpolation: how pixels are resampled.
    """

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    scale: float | None = None
    color: ColorOrder | None = None
    layout: Layout | None = None
    resize: ResizeRule | None = None
    interpolation: Interpolation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileRequest:
    """The arguments of ``depthdeploy compile``.

    Attributes:
        targets: names, each with an optional variant after a colon: ``openvino``, ``onnxruntime:cpu-avx2``.
        calibration: a data set, with an optional argument after a colon: ``sample``, ``folder:photos``.
        model: a model id; the default model when neither this nor ``onnx`` is given.
        onnx: a foreign ONNX file.
        weights: a file or folder with the model's weights.
        accepted_licence: the SPDX identifier of a licence that the user accepts.
        size: ``(height, width)``; the model's own when ``None``.
        output_kind: what a foreign network predicts.
        output_name: which output of a foreign network is the depth.
        input: what is said about the input.
        precision: ``int8``, ``fp16`` or ``fp32``; each target's default when empty.
        recipe: how the network is quantized: a built-in recipe or a file whose name ends in ``.toml``.
        observer: how ranges are chosen instead of the recipe's way: ``minmax``, ``moving``, ``percentile`` (99.999),
            ``percentile:99.99``, ``entropy`` or ``mse``.
        time_budget: seconds that learning and searching may take per target; as long as the recipe needs when ``None``.
        device: where learning runs: ``auto``, ``cpu`` or ``cuda``.
        allow_few: whether fewer photographs may calibrate than the recipe is meant for; the report then says so.
        calibration_count: how many photographs; a default by the set's size when ``None``.
        evaluations: data sets; empty means the rest of the calibration set.
        evaluation_count: how many photographs of each; all when ``None``.
        data_root: where named data sets lie.
        seed: of the sampling.
        max_drop: limits on the loss.
        allowances: rewrites that may change the function, and how much may run on a target's host.
        ends: what the artifact takes, and where the host goes on.
        until: the last stage to run.
        out: where results go; ``depthdeploy-out`` under the current folder by default.
        cache: where stored results and downloads lie.
        command: what the user typed, for the report.
    """

    targets: tuple[str, ...]
    calibration: str = "sample"
    model: str | None = None
    onnx: Path | None = None
    weights: Path | None = None
    accepted_licence: str | None = None
    size: tuple[int, int] | None = None
    output_kind: DepthKind | None = None
    output_name: str | None = None
    input: InputOptions = field(default_factory=InputOptions)
    precision: str = ""
    recipe: str = DEFAULT_RECIPE
    observer: str | None = None
    time_budget: float | None = None
    device: str = "auto"
    allow_few: bool = False
    calibration_count: int | None = None
    evaluations: tuple[str, ...] = ()
    evaluation_count: int | None = None
    data_root: Path | None = None
    seed: int = 0
    max_drop: tuple[Drop, ...] = ()
    allowances: Allowances = field(default_factory=Allowances)
    ends: EndOptions = field(default_factory=EndOptions)
    until: str = "evaluate"
    out: Path = Path("depthdeploy-out")
    cache: Path | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.model is not None and self.onnx is not None:
            raise UsageError("--model and --onnx name two networks.", "Give one of them.")
        if not self.targets:
            raise UsageError("No target is given.", "Add --target, as in --target onnxruntime,openvino.")
        if len(set(self.targets)) != len(self.targets):
            raise UsageError(f"A target is given twice: {', '.join(self.targets)}.", "Name each once.")
        for option, count in (("calib", self.calibration_count), ("eval", self.evaluation_count)):
            if count is not None and count <= 0:
                raise UsageError(f"--{option}-count {count} asks for no photograph.", "Give a positive number.")
        if self.time_budget is not None and not 0 < self.time_budget < float("inf"):
            raise UsageError(f"--time-budget {self.time_budget} is no time.", "Give it as in 90s, 30m or 2h.")
        if self.device not in DEVICES:
            raise UsageError(f"--device {self.device!r} is not known.", f"Give one of {', '.join(DEVICES)}.")
        if self.onnx is None and (self.output_kind is not None or self.output_name is not None):
            raise UsageError(
                "--output-kind and --output-name describe a foreign ONNX, and none is given.",
                "Add --onnx FILE, or leave them out: the model's card says what it predicts.",
            )


def parse_size(text: str) -> tuple[int, int]:
    """``(height, width)`` from ``HEIGHTxWIDTH`` or one number for a square.

    Raises:
        UsageError: the text has another form.
    """
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if not match or int(match[1]) == 0 or (match[2] and int(match[2]) == 0):
        raise UsageError(f"--size {text!r} is not a size.", "Write HEIGHTxWIDTH, as in 518x686, or one number.")
    height = int(match[1])
    return height, int(match[2]) if match[2] else height


def parse_fallback(text: str) -> FallbackLimit:
    """How much may run on the host, from a number of nodes (``3``) or a share of the operations (``2.5%``).

    Raises:
        UsageError: the text has another form, or the share is above 100 %.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)\s*%", text.strip())
    if match is None or (match[2] and float(match[2]) > 100):
        raise UsageError(
            f"--allow-fallback {text!r} is no limit.", "Give a number of nodes, or a share of the MACs as in 2.5%."
        )
    return FallbackLimit(nodes=int(match[1])) if match[1] else FallbackLimit(share=float(match[2]) / 100)


def parse_duration(text: str) -> float:
    """Seconds from ``90s``, ``30m`` or ``2h``; ``1.5h`` too.

    Raises:
        UsageError: the text has another form, or is not a positive time.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--time-budget {text!r} is no time.", "Write seconds, minutes or hours: 90s, 30m, 2h.")
    return seconds


def split_argument(text: str) -> tuple[str, str]:
    """Name and argument of ``name:argument``; the argument is empty when there is no colon."""
    name, _, argument = text.partition(":")
    return name.strip(), argument
