"""Rewrites for ONNX Runtime: none. Its CPU runs every accepted operator as ONNX defines it."""

from depthdeploy.plugin import GraphPass

PASSES: tuple[GraphPass, ...] = ()
