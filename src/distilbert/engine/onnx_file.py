"""Graphs as ONNX files. The format is protocol buffers, of which these need a few lines and no library.

Field numbers are those of the published ``onnx.proto``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.errors import ConfigError

Array = np.ndarray[Any, np.dtype[Any]]

#: Where operators of ONNX Runtime's own live.
MICROSOFT = "com.microsoft"

#: The version of the standard's operators that graphs are written in: the first with LayerNormalization; and
#: the first version of the format that has it, so that older programs read it too.
OPSET, FORMAT = 17, 8

#: Bytes that a file of this kind holds at most; what reads it counts with 31 bits.
MOST_BYTES = 2**31 - 1

#: What the format calls types of numbers.
FLOAT, INT8, INT32, INT64, BOOL = 1, 3, 6, 7, 9
_TYPES = {"float32": FLOAT, "int8": INT8, "int32": INT32, "int64": INT64}

#: What is written one after the other; arrays stay where they are.
_Parts = list[bytes | memoryview]


@dataclass(frozen=True)
class Node:
    """An operator with what it reads and what it gives, by name."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A model.

    Attributes:
        name: of the graph.
        nodes: in the order in which they are computed.
        arrays: that nodes read and nothing changes, by name.
        inputs: the axes of each input, of whole numbers, by name.
        outputs: the axes of each output, of fp32, by name.
    """

    name: str
    nodes: Sequence[Node]
    arrays: Mapping[str, Array]
    inputs: Mapping[str, Sequence[str | int]]
    outputs: Mapping[str, Sequence[str | int]]

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The file, piece by piece.

        Raises:
            ConfigError: it is larger than such a file can be.
        """
        graph: _Parts = []
        for node in self.nodes:
            graph += _message(1, _node(node))
        graph += _text(2, self.name)
        for name, array in self.arrays.items():
            graph += _message(5, _tensor(name, array))
        for name, axes in self.inputs.items():
            graph += _message(11, _value(name, INT64, axes))
        for name, axes in self.outputs.items():
            graph += _message(12, _value(name, FLOAT, axes))
        domains = {"": OPSET} | ({MICROSOFT: 1} if any(node.domain for node in self.nodes) else {})
        whole = [*_number(1, FORMAT), *_text(2, "distilbert"), *_message(7, graph)]
        for domain, version in domains.items():
            whole += _message(8, [*_text(1, domain), *_number(2, version)])
        if (size := _size(whole)) > MOST_BYTES:
            raise ConfigError(
                "A graph must fit a file of two gigabytes.",
                received=f"{size:,} bytes",
                remedy="Choose a smaller model, or compute it with PyTorch.",
            )
        yield from whole

    def bytes(self) -> bytes:
        """The whole file."""
        return b"".join(self.pieces())


def _node(node: Node) -> _Parts:
    parts = [part for name in node.inputs for part in _text(1, name)]
    parts += [part for name in node.outputs for part in _text(2, name)]
    parts += [*_text(3, node.outputs[0]), *_text(4, node.op)]
    for name, value in node.attributes.items():
        parts += _message(5, _attribute(name, value))
    return parts + (_text(7, node.domain) if node.domain else [])


def _attribute(name: str, value: Any) -> _Parts:
    if isinstance(value, float):
        return [*_text(1, name), _key(2, 5) + np.array(value, "<f4").tobytes(), *_number(20, 1)]
    if isinstance(value, int):
        return [*_text(1, name), *_number(3, value), *_number(20, 2)]
    numbers = [part for number in value for part in _number(8, number)]
    return [*_text(1, name), *numbers, *_number(20, 7)]


def _tensor(name: str, array: Array) -> _Parts:
    parts = [part for size in array.shape for part in _number(1, size)]
    parts += [*_number(2, _TYPES[array.dtype.name]), *_text(8, name)]
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return parts + _message(9, [little.data.cast("B") if little.size else b""])


def _value(name: str, kind: int, axes: Iterable[str | int]) -> _Parts:
    shape: _Parts = []
    for axis in axes:
        shape += _message(1, _text(2, axis) if isinstance(axis, str) else _number(1, axis))
    tensor = [*_number(1, kind), *_message(2, shape)]
    return [*_text(1, name), *_message(2, _message(1, tensor))]


def _message(field: int, parts: _Parts) -> _Parts:
    return [_key(field, 2) + _varint(_size(parts)), *parts]


def _text(field: int, text: str) -> _Parts:
    return _message(field, [text.encode()])


def _number(field: int, value: int) -> _Parts:
    return [_key(field, 0) + _varint(value)]


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; negative numbers in 64 bits."""
    value &= 2**64 - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _size(parts: Iterable[bytes | memoryview]) -> int:
    return sum(len(part) for part in parts)
