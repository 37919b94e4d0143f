"""Few threads: the suite shares its processors."""

from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="learning needs PyTorch")

import torch


@pytest.fixture(autouse=True)
def few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
