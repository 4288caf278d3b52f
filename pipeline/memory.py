"""The memory of the process: what a picture took is given back to the system when it is done."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's malloc.h (2.36)."""

_LARGE = 2**20
"""Bytes. Decoded pictures and their sources are larger, what lives long is smaller."""


def give_back_pictures() -> None:
    """Have every large block mapped by itself, so that it is gone when it is freed.

    Left alone, glibc takes the first picture's size for usual and keeps such blocks, in an arena for each thread: 500
    photographs of 12 megapixels then peak at 400 MB instead of 335. Other C libraries are left as they are.
    """
    if sys.platform == "linux" and (tune := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        tune(_MMAP_THRESHOLD, _LARGE)
