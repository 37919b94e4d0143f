"""Depth Anything V2: three sizes, relative and in metres."""

from pathlib import Path

from depthdeploy.plugin import load_card
from depthdeploy_models.network import Network


def _network(variant: str) -> Network:
    card = load_card(Path(__file__).with_name("card.toml"), variant)
    return Network(card, "depthdeploy_models.depth_anything_v2.model")


small = _network("small")
base = _network("base")
large = _network("large")
metric_indoor_small = _network("metric-indoor-small")
metric_indoor_base = _network("metric-indoor-base")
metric_indoor_large = _network("metric-indoor-large")
metric_outdoor_small = _network("metric-outdoor-small")
metric_outdoor_base = _network("metric-outdoor-base")
metric_outdoor_large = _network("metric-outdoor-large")
