"""``depthdeploy calibrations``."""

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table


def calibrations_command(as_json: bool = AS_JSON) -> None:
    """List the data sets that can be named after --calib and --eval."""
    listed = api.calibrations()
    if as_json:
        show_json(listed)
        return
    show_table(("data set", "how to name it", "what it is"), [(row.id, row.usage, row.title) for row in listed])
