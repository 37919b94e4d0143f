"""``depthdeploy targets``."""

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table


def targets_command(as_json: bool = AS_JSON) -> None:
    """List the targets that can be named after --target, with their variants."""
    listed = api.targets()
    if as_json:
        show_json(listed)
        return
    rows = [
        (
            f"{target.name}:{variant.name}" if variant.name else target.name,
            ", ".join(variant.precisions),
            "yes" if target.sdk_version else "no",
            f"{target.sdk} {target.sdk_version}".strip(),
            variant.title,
        )
        for target in listed
        for variant in target.variants
    ]
    show_table(("target", "precisions", "ready", "needs", "runs on"), rows)
