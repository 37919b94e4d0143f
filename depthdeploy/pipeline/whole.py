"""A network on a chip as a whole: from a photograph to its depth, the host's part included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy import inference
from depthdeploy.core.depth import InputContract, InputForm
from depthdeploy.core.metrics import Evidence
from depthdeploy.evaluation.scoring import Candidate
from depthdeploy.imaging.preprocess import camera_frame, preprocess

#: An artifact's tensor for a photograph -> its output.
Predict = Callable[[NDArray[np.float32] | NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Whole:
    """An artifact between a photograph and its depth: the tensor that it takes, and the host's tail behind it.

    Attributes:
        contract: how a photograph becomes its input.
        predict: its own run.
        tail: the host's graph; ``None`` where there is none.
    """

    contract: InputContract
    predict: Predict
    tail: inference.OnnxSession | None

    @classmethod
    def of(cls, contract: InputContract, predict: Predict, tail: Path | None) -> Whole:
        """With the tail's graph opened."""
        return cls(contract, predict, None if tail is None else inference.OnnxSession(tail))

    def tensor(self, photograph: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """What the artifact takes for a photograph."""
        if self.contract.form is InputForm.UINT8:
            return camera_frame(photograph, self.contract)
        return preprocess(photograph, self.contract)

    def run(self, tensor: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Artifact, then host."""
        between = self.predict(tensor)
        return between if self.tail is None else self.tail.predict(between)

    def see(self, photograph: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The depth of a photograph."""
        return self.run(self.tensor(photograph))

    def candidate(self, name: str, ran_on: str, evidence: Evidence, reference: InputContract) -> Candidate:
        """For the evaluation beside a network of a contract: its tensors are taken where both want the same."""
        described = ran_on if self.tail is None else f"{ran_on}, then the host's tail in {inference.describe()}"
        return Candidate(name, described, evidence, self.run, None if self.contract == reference else self.see)
