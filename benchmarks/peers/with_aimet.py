"""AIMET's ONNX quantizer: simulation, cross-layer equalization, AdaRound; the result is exported as Q/DQ."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from peers.common import QUANTIZED, Made, Task, main

#: AIMET's own configuration with weights per channel.
CONFIG = "default_config_per_channel.json"

#: How many iterations AdaRound gets per layer when nobody says; its documentation recommends 10,000.
ITERATIONS = 100


def _feeds(task: Task, name: str) -> Iterator[dict[str, NDArray[np.float32]]]:
    for batch in task.batches():
        yield {name: batch}


def quantize(task: Task) -> Made:
    """``recipe``: range setting, then what else runs, as in ``tfe``, ``minmax-cle`` and ``tfe-adaround``.

    Options: ``iterations`` and ``adaround-images`` of AdaRound.
    """
    import aimet_onnx  # type: ignore[import-not-found,unused-ignore]
    from aimet_onnx.common import quantsim_config  # type: ignore[import-not-found,unused-ignore]
    from aimet_onnx.common.defs import QuantScheme  # type: ignore[import-not-found,unused-ignore]
    from aimet_onnx.cross_layer_equalization import equalize_model  # type: ignore[import-not-found,unused-ignore]

    schemes = {"tfe": QuantScheme.post_training_tf_enhanced, "minmax": QuantScheme.min_max}
    ranges, *steps = task.recipe.split("-")
    model = onnx.load(task.model)
    name = model.graph.input[0].name
    words = [f"{ranges} ranges", "int8 weights per channel", "uint8 activations", "output float"]
    if "cle" in steps:
        equalize_model(model)
        words.append("equalize_model (replaces ReLU6 by ReLU)")
    sim = aimet_onnx.QuantizationSimModel(
        model,
        param_type=aimet_onnx.int8,
        activation_type=aimet_onnx.int8,
        quant_scheme=schemes[ranges],
        config_file=str(Path(quantsim_config.__file__).with_name(CONFIG)),
    )
    # float, as the others leave it; the configuration's own switch for it takes True only
    sim.qc_quantize_op_dict[model.graph.output[0].name].enabled = False
    if "adaround" in steps:
        iterations = int(task.options.get("iterations", ITERATIONS))
        few = list(_feeds(task, name))[: int(task.options.get("adaround-images", len(task.photographs)))]
        aimet_onnx.apply_adaround(sim, few, num_iterations=iterations)
        words.append(f"AdaRound, {iterations} iterations a layer, {len(few)} images")
    sim.compute_encodings(_feeds(task, name))
    onnx.save(sim.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True), task.folder / QUANTIZED)
    return Made("aimet-onnx", version("aimet-onnx"), ", ".join(words))


if __name__ == "__main__":
    main(quantize)
