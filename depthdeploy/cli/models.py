"""``depthdeploy models``."""

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table


def models_command(as_json: bool = AS_JSON) -> None:
    """List the networks that can be named after --model."""
    cards = api.models()
    if as_json:
        show_json(cards)
        return
    rows = [
        (
            card.id,
            f"{card.input.height}x{card.input.width}",
            f"{card.parameters:,}" if card.parameters else "",
            card.output.kind.value,
            card.licence.spdx + ("" if card.licence.commercial else " (non-commercial)"),
            card.title,
        )
        for card in cards
    ]
    show_table(("model", "size", "parameters", "predicts", "licence", "network"), rows)
