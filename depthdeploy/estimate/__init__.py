"""How long an inference takes on a chip that is not here: always an estimate, with the interval of its error."""

from depthdeploy.estimate.chart import layer_chart
from depthdeploy.estimate.data import performance_of
from depthdeploy.estimate.roofline import estimate
from depthdeploy.estimate.table import layer_table, summary

__all__ = ["estimate", "layer_chart", "layer_table", "performance_of", "summary"]
