"""Writes ``flax_model.msgpack`` as Flax reads it: a tree of arrays, the longest of them in pieces."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from distilbert.core.files import replacing
from distilbert.core.layouts import to_flax
from distilbert.core.msgpack_files import CHUNKED

#: Bytes of one entry; Flax's own limit.
MAX_CHUNK_BYTES = 2**30


def write_msgpack(path: Path, named: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
    """Write arrays that have published names, atomically.

    Raises:
        OutputError: the place cannot be written.
    """
    tree: dict[str, Any] = {}
    for name, place in to_flax({name: array.shape for name, array in named.items()}).items():
        *branches, leaf = place.name.split("/")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = named[name].T if place.turned else named[name]
    with replacing(path) as partial, partial.open("wb") as file:
        _node(file, tree)


def _node(file: IO[bytes], node: Any) -> None:
    if isinstance(node, dict):
        file.write(_map(len(node)))
        for name, child in node.items():
            file.write(_text(name))
            _node(file, child)
    elif isinstance(node, bool):
        file.write(b"\xc3" if node else b"\xc2")
    elif isinstance(node, int):
        file.write(_number(node))
    elif node.nbytes > MAX_CHUNK_BYTES:
        flat = np.ascontiguousarray(node).reshape(-1)
        step = MAX_CHUNK_BYTES // node.itemsize
        pieces = [flat[i : i + step] for i in range(0, flat.size, step)]
        numbered = ({str(i): part for i, part in enumerate(parts)} for parts in (node.shape, pieces))
        _node(file, {CHUNKED: True, **dict(zip(("shape", "chunks"), numbered, strict=True))})
    else:
        _array(file, node)


def _array(file: IO[bytes], array: "np.ndarray[Any, Any]") -> None:
    numbers = np.ascontiguousarray(array)
    head = b"\x93" + bytes([0x90 | array.ndim]) + b"".join(map(_number, array.shape))
    head += _text(array.dtype.name) + b"\xc6" + struct.pack(">I", array.nbytes)
    file.write(b"\xc9" + struct.pack(">Ib", len(head) + array.nbytes, 1) + head)
    file.write(numbers.reshape(-1).view(np.uint8).data)


def _map(count: int) -> bytes:
    return bytes([0x80 | count]) if count < 16 else b"\xde" + struct.pack(">H", count)


def _text(text: str) -> bytes:
    content = text.encode()
    return (
        bytes([0xA0 | len(content)]) if len(content) < 32 else b"\xda" + struct.pack(">H", len(content))
    ) + content


def _number(number: int) -> bytes:
    return bytes([number]) if number < 128 else b"\xcf" + struct.pack(">Q", number)
