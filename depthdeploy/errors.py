"""The errors a user can act on: what happened, what was found, what to do, and an exit code of their own.

Nothing is imported here, so that every other module, and the code that runs inside vendor images, can raise them.
"""


class DepthdeployError(Exception):
    """Anything the user can act on. The command line prints it as one paragraph, without a traceback.

    Args:
        what: what could not be done and what was found, one or two sentences.
        remedy: what the user can do about it, as an instruction.
    """

    exit_code = 1
    title = "Error"

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class UsageError(DepthdeployError):
    """What was asked is contradictory, unknown or incomplete."""

    exit_code = 2
    title = "Usage"


class ModelError(DepthdeployError):
    """A network cannot be found, read, built or exported."""

    exit_code = 3
    title = "Model"


class ParityError(ModelError):
    """The exported ONNX graph does not compute what the PyTorch network computes."""

    exit_code = 4
    title = "Parity"


class LicenceError(ModelError):
    """The weights' licence needs the user's explicit consent."""

    exit_code = 5
    title = "Licence"


class UnsupportedGraph(DepthdeployError):
    """A target refuses one or more nodes. All refusals are listed, not the first."""

    exit_code = 6
    title = "Unsupported graph"


class CalibrationError(DepthdeployError):
    """Photographs are missing, unreadable, too few, or shared with the evaluation set."""

    exit_code = 7
    title = "Calibration"


class QuantizationError(DepthdeployError):
    """The network cannot be quantized as asked: a tensor is NaN, constant or unbounded."""

    exit_code = 8
    title = "Quantization"


class EvaluationError(DepthdeployError):
    """A prediction or a reference cannot be scored: NaN, constant, no valid pixel, wrong size."""

    exit_code = 9
    title = "Evaluation"


class AccuracyError(DepthdeployError):
    """A limit given by ``--max-drop`` is not met."""

    exit_code = 10
    title = "Accuracy"


class ToolchainMissing(DepthdeployError):
    """A vendor's SDK or runtime is not installed."""

    exit_code = 11
    title = "Toolchain missing"


class ToolchainFailed(DepthdeployError):
    """A vendor's SDK or runtime reported an error."""

    exit_code = 12
    title = "Toolchain failed"


class PluginError(DepthdeployError):
    """A plug-in is broken, ambiguous or of the wrong kind."""

    exit_code = 13
    title = "Plug-in"


class StorageError(DepthdeployError):
    """A result cannot be stored: the disk is full, or the place cannot be written."""

    exit_code = 14
    title = "Storage"


class BundleError(DepthdeployError):
    """A bundle does not contain what its manifest says."""

    exit_code = 15
    title = "Bundle"


class LatencyError(DepthdeployError):
    """A time that was given as a budget cannot be held, by all that is known of the chip."""

    exit_code = 16
    title = "Latency"


#: An interrupt by the user (Ctrl-C): 128 + SIGINT, as shells have it.
INTERRUPTED = 130


def error_classes() -> "tuple[type[DepthdeployError], ...]":
    """Every class of the tree, by exit code: the table of ``--help`` and the docs."""
    found: list[type[DepthdeployError]] = []
    pending: list[type[DepthdeployError]] = [DepthdeployError]
    while pending:
        cls = pending.pop()
        found.append(cls)
        pending.extend(cls.__subclasses__())
    return tuple(sorted(found, key=lambda cls: cls.exit_code))
