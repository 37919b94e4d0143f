"""Procedural photographs with exact depth."""

from depthdeploy_calibration.sample.render import render_scene
from depthdeploy_calibration.sample.scene import RenderedScene

__all__ = ["RenderedScene", "render_scene"]
