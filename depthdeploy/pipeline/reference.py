"""The FP32 network of a run: one session, and its predictions kept for the stages and targets that ask again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from depthdeploy import inference
from depthdeploy.core.metrics import Evidence
from depthdeploy.core.model import OnnxModel
from depthdeploy.evaluation.scoring import Candidate

#: What the FP32 network is called in every report.
NAME = "FP32"

#: Predictions are kept up to this many bytes; beyond it they are computed again.
_KEPT_BYTES = 256 * 1024**2


@dataclass
class Reference:
    """The FP32 graph in ONNX Runtime: what every loss is measured against.

    Attributes:
        model: the graph as it was exported or imported.
    """

    model: OnnxModel
    _kept: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    _bytes: int = 0

    @cached_property
    def session(self) -> inference.OnnxSession:
        """Opened when it is first needed: a run that finds everything stored never does."""
        return inference.OnnxSession(self.model.path)

    def predict(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """The prediction for one input tensor, from memory where the same tensor was seen before."""
        key = hashlib.blake2b(np.ascontiguousarray(tensor).data, digest_size=16).digest()
        known = self._kept.get(key)
        if known is None:
            known = self.session.predict(tensor)
            if self._bytes + known.nbytes <= _KEPT_BYTES:
                self._kept[key] = known
                self._bytes += known.nbytes
        return known

    @property
    def candidate(self) -> Candidate:
        """For the evaluation."""
        return Candidate(NAME, inference.describe(), Evidence.REFERENCE, self.predict)
