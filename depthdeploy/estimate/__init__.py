"""How long an inference takes on a chip that is not here: always an estimate, with the interval of its error."""

from depthdeploy.estimate.chart import layer_chart
from depthdeploy.estimate.roofline import estimate

__all__ = ["estimate", "layer_chart"]
