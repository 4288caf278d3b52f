"""Reads the tensors of a legacy torch.save file without torch and without trusting its pickle.

The layout (torch/serialization.py, `_legacy_save`, read 2026-11-23): five pickles one after another (a magic number,
a protocol number, facts about the machine, the object, the list of storage keys), then for every key an int64 count
and that many raw little-endian numbers. The object here is a mapping of names to tensors.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    """A run of numbers named in the object and stored at the end of the file."""

    dtype: np.dtype[Any]
    key: str


class _View(NamedTuple):
    """A tensor: a window into a storage. Strides are in elements and need not be those of a contiguous array."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: object) -> _View:
    return _View(storage, offset, shape, strides)


class _TensorUnpickler(pickle.Unpickler):
    """Knows the four names that a mapping of tensors needs, and refuses every other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"a weights file has no business naming {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, _count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"not a plain storage: {pid!r}")
        return _Storage(dtype, key)


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of the file by name, as contiguous arrays.

    Raises OSError if the file cannot be read, ValueError if it is not a legacy torch file, and
    pickle.UnpicklingError if it names anything but tensors.
    """
    with path.open("rb") as file:
        if _TensorUnpickler(file).load() != LEGACY_MAGIC:
            raise ValueError(f"{path.name} is not a legacy torch file")
        for _header in ("protocol number", "machine facts"):
            _TensorUnpickler(file).load()
        views: dict[str, _View] = _TensorUnpickler(file).load()
        keys: list[str] = _TensorUnpickler(file).load()
        dtypes = {view.storage.key: view.storage.dtype for view in views.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _array(view, storages[view.storage.key]) for name, view in views.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype[Any]) -> bytes:
    count = int.from_bytes(file.read(8), "little")
    raw = file.read(count * dtype.itemsize)
    if len(raw) != count * dtype.itemsize:
        raise ValueError("the weights file ends in the middle of a tensor")
    return raw


def _array(view: _View, raw: bytes) -> NDArray[Any]:
    size = view.storage.dtype.itemsize
    strides = tuple(stride * size for stride in view.strides)
    array: NDArray[Any] = np.ndarray(
        view.shape, view.storage.dtype, buffer=raw, offset=view.offset * size, strides=strides
    )
    return np.ascontiguousarray(array)
