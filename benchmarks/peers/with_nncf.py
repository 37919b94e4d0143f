"""NNCF: on the ONNX graph (Q/DQ, which every judge can run) or on OpenVINO's IR of it."""

from __future__ import annotations

import nncf  # type: ignore[import-not-found,unused-ignore]
import onnx
from nncf.quantization.advanced_parameters import (  # type: ignore[import-not-found,unused-ignore]
    QuantizationParameters,
)
from peers.common import QUANTIZED, Made, Task, main

#: recipe -> arguments of ``nncf.quantize`` and whether all of the bias correction runs.
RECIPES: dict[str, dict[str, object]] = {
    "performance": {"preset": "performance"},
    "mixed": {"preset": "mixed"},
    "best": {"preset": "mixed", "fast_bias_correction": False},
}

#: ``overflow=KEY`` -> which weights get 7 bits, for processors without VNNI; the tool's own default is ``first``.
OVERFLOW = {
    "off": nncf.OverflowFix.DISABLE,
    "first": nncf.OverflowFix.FIRST_LAYER,
    "all": nncf.OverflowFix.ENABLE,
}


def _settings(task: Task, recipe: dict[str, object]) -> dict[str, object]:
    fix = OVERFLOW[task.options.get("overflow", "off")]
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=fix)
    if task.options.get("activations") == "tensor":  # by default the inputs of depthwise layers get a grid per channel
        advanced.activations_quantization_params = QuantizationParameters(per_channel=False)
    kind = nncf.ModelType.TRANSFORMER if task.options.get("transformer") else None
    return {
        "preset": nncf.QuantizationPreset(recipe["preset"]),
        "subset_size": len(task.photographs),
        "fast_bias_correction": recipe.get("fast_bias_correction", True),
        "model_type": kind,
        "advanced_parameters": advanced,
    }


def quantize(task: Task) -> Made:
    """``recipe``: ``BACKEND-RECIPE``, as in ``onnx-mixed`` or ``openvino-performance``."""
    backend, _, name = task.recipe.partition("-")
    settings = _settings(task, RECIPES[name])
    images = list(task.photographs)
    if backend == "onnx":
        model = onnx.load(task.model)
        inlet = model.graph.input[0].name
        data = nncf.Dataset(images, lambda image: {inlet: image[None]})
        onnx.save(nncf.quantize(model, data, **settings), task.folder / QUANTIZED)
        form = QUANTIZED
    else:
        import openvino as ov

        network = ov.convert_model(str(task.model))
        data = nncf.Dataset(images, lambda image: image[None])
        ov.save_model(nncf.quantize(network, data, **settings), task.folder / "quantized.xml", compress_to_fp16=False)
        form = "quantized.xml"
    corrected = "fast bias correction" if settings["fast_bias_correction"] else "full bias correction"
    words = f"{backend} backend, preset {RECIPES[name]['preset']}, {corrected}, overflow fix "
    words += task.options.get("overflow", "off")
    words += f", activations per {task.options.get('activations', 'channel before depthwise layers')}"
    return Made("nncf", nncf.__version__, words, form)


if __name__ == "__main__":
    main(quantize)
