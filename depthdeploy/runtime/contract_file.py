"""``contract.json``: what an artifact takes and gives, for whoever writes the program around it."""

from __future__ import annotations

import json
from pathlib import Path

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.digest import plain
from depthdeploy.core.preprocessing import preprocessing_of
from depthdeploy.core.tensor import TensorSpec

#: The file's name beside the artifact.
CONTRACT = "contract.json"

#: The version of the file; a change that breaks a reader raises the first number.
SCHEMA = "1.0"


def write_contract(
    path: Path, *, tensors: tuple[TensorSpec, TensorSpec], contract: InputContract, depth: DepthContract
) -> None:
    """Write both ends of an artifact as JSON with sorted keys.

    ``input.normalization`` says the mean and the standard deviation in pixel values: whoever feeds a ``normalized``
    input applies them, in the other forms the network does.

    Args:
        path: where to.
        tensors: the artifact's input and output.
        contract: how a photograph becomes the input.
        depth: what the output means.
    """
    units = preprocessing_of(contract)
    content = {
        "schema": SCHEMA,
        "input": {
            "tensor": plain(tensors[0]),
            "contract": plain(contract),
            "normalization": {"mean": list(units.mean), "std": list(units.std)},
        },
        "output": {"tensor": plain(tensors[1]), "contract": plain(depth)},
    }
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
