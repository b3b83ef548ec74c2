"""Tensors of the inference protocol: as JSON, and as bytes behind it (the binary data extension)."""

import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from distilbert.serve.refusals import Malformed

Array = np.ndarray[Any, np.dtype[Any]]

#: numpy's types by the protocol's names; BYTES are objects.
TYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1",
    "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def as_array(tensor: Mapping[str, Any], bytes_of: bytes | None) -> Array:
    """A tensor of a request.

    Args:
        tensor: its name, shape and type, and its data if they are JSON.
        bytes_of: its data if they are bytes.

    Raises:
        Malformed: data that are not as the shape and the type say.
    """
    shape, kind = [int(size) for size in tensor["shape"]], tensor["datatype"]
    name = f"{tensor['name']:.60}"
    if kind != "BYTES" and kind not in TYPES:
        raise Malformed(f"The type of {name} is one of BYTES, {', '.join(TYPES)}. Received: {kind:.20}.")
    try:
        if bytes_of is None:
            flat = _flat(tensor.get("data"))
            made = np.array(flat, object if kind == "BYTES" else TYPES[kind])
        elif kind == "BYTES":
            made = np.array(_texts(bytes_of), object)
        else:
            made = np.frombuffer(bytes_of, TYPES[kind])
        if min(shape, default=0) < 0 or made.size != prod(shape):
            raise ValueError(f"{made.size} values")
        return made.reshape(shape)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise Malformed(
            f"The data of {name} are as its shape {shape} says, of the type {kind}. Received: {error}."
        ) from None


def as_bytes(array: Array) -> bytes:
    """An array's values as the extension has them."""
    if array.dtype == object:
        texts = [str(text).encode() for text in array.ravel()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.ascontiguousarray(array).tobytes()


def type_of(array: Array) -> str:
    """An array's type by the protocol's name."""
    if array.dtype == object:
        return "BYTES"
    return next(name for name, kind in TYPES.items() if np.dtype(kind) == array.dtype)


def _flat(data: Any) -> list[Any]:
    """The values of lists within lists, in their order."""
    if not isinstance(data, list):
        raise ValueError("no list of data")
    flat: list[Any] = []
    waiting: list[Any] = [iter(data)]
    while waiting:
        one = next(waiting[-1], waiting)
        if one is waiting:
            waiting.pop()
        elif isinstance(one, list):
            waiting.append(iter(one))
        else:
            flat.append(one)
    return flat


def _texts(content: bytes) -> Sequence[str]:
    """Texts, each behind the number of its bytes."""
    texts, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<I", content, at)
        if at + 4 + size > len(content):
            raise ValueError("a text that is longer than what is there")
        texts.append(content[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return texts
