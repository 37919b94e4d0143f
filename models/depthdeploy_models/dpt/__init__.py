"""MiDaS v3: DPT-Hybrid and DPT-Large."""

from pathlib import Path

from depthdeploy.plugin import load_card
from depthdeploy_models.network import Network

_CARD = Path(__file__).with_name("card.toml")

hybrid = Network(load_card(_CARD, "hybrid"), "depthdeploy_models.dpt.model")
large = Network(load_card(_CARD, "large"), "depthdeploy_models.dpt.model")
