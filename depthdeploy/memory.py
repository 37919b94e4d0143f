"""Memory between stages."""

from __future__ import annotations

import ctypes
import gc
import sys


def return_freed() -> None:
    """Give memory that a stage freed back to the system, so that the next stage's peak does not stand on top of it.

    glibc keeps freed blocks for itself; with large tensors this is hundreds of megabytes. Elsewhere nothing is done.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
