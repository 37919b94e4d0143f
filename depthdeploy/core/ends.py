"""What a user asks of a network's two ends on a chip: the form of its input, and where the host goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from depthdeploy.core.depth import ColorOrder, InputContract, InputForm, Layout
from depthdeploy.errors import UsageError


class TailRule(Enum):
    """Which operations at a network's end the host computes."""

    NONE = "none"
    """None: the accelerator computes the whole network."""
    AUTO = "auto"
    """What lies behind the last layer and is cheap on a processor: formulas of depth, reshapes, casts."""
    RESIZE = "resize"
    """The same, and the enlargement to the final size."""


class Taken(Enum):
    """What a compiled network takes."""

    FLOAT = "float"
    """The normalised float32 tensor of the network's input contract."""
    UINT8 = "uint8"
    """A camera's pixels: the normalisation is inside."""


@dataclass(frozen=True, slots=True)
class EndOptions:
    """What a user asks of a network's two ends; ``None`` means nothing was said.

    Attributes:
        takes: the input's element type, and with it who normalises.
        layout: the dimension order of the artifact's input; the network's own when ``None``.
        color: the channel order of the artifact's input; the network's own when ``None``.
        tail: which operations the host computes; the target's own rule when ``None``.
        cut_at: the node or tensor after which the host goes on.
    """

    takes: Taken = Taken.FLOAT
    layout: Layout | None = None
    color: ColorOrder | None = None
    tail: TailRule | None = None
    cut_at: str | None = None

    def __post_init__(self) -> None:
        if self.cut_at is not None and self.tail is not None:
            raise UsageError(
                f"--cut-at {self.cut_at} and --host-tail {self.tail.value} both say where the network is cut.",
                "Give one of them.",
            )
        if self.cut_at is not None and not self.cut_at.strip():
            raise UsageError("--cut-at names nothing.", "Give the name of a node or tensor.")

    def shaped(self, contract: InputContract) -> InputContract:
        """The contract of the artifact's input for a network of a contract."""
        form = InputForm.UINT8 if self.takes is Taken.UINT8 else contract.form
        recolored = contract.recolored(self.color or contract.color)
        return replace(recolored, layout=self.layout or contract.layout, form=form)
