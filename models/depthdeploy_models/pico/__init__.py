"""Pico, the packaged network: small, trained on rendered scenes, there without a download."""

from pathlib import Path

from depthdeploy.plugin import load_card
from depthdeploy_models.network import Network

plugin = Network(load_card(Path(__file__).with_name("card.toml")), "depthdeploy_models.pico.weights")
