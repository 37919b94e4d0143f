"""Rewrites for OpenVINO: none.

What its reader understands otherwise than ONNX defines it is refused by the support check (``capabilities.toml``), so
that the legal graph, and with it the statistics of calibration, are those of every other target without rewrites.
"""

from depthdeploy.plugin import GraphPass

PASSES: tuple[GraphPass, ...] = ()
