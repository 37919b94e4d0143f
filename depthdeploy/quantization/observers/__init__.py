"""Observers: what the values of an activation tensor span, gathered photograph by photograph in constant memory."""

from depthdeploy.quantization.observers.entropy import Entropy
from depthdeploy.quantization.observers.extremes import Extremes, MinMax, Moving, UsualMinMax
from depthdeploy.quantization.observers.histogram import BINS, StreamingHistogram
from depthdeploy.quantization.observers.mse import Mse, expected_error
from depthdeploy.quantization.observers.names import OBSERVERS, parse_observer
from depthdeploy.quantization.observers.percentile import Percentile
from depthdeploy.quantization.observers.protocol import Observer, TensorObserver

__all__ = [
    "BINS",
    "OBSERVERS",
    "Entropy",
    "Extremes",
    "MinMax",
    "Moving",
    "Mse",
    "Observer",
    "Percentile",
    "StreamingHistogram",
    "TensorObserver",
    "UsualMinMax",
    "expected_error",
    "parse_observer",
]
