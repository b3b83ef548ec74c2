"""Google's BERT checkpoints of TensorFlow 1, without TensorFlow: an ``.index`` and its ``.data`` files.

The index is a sorted table of names, in blocks; each name leads to a record of where its numbers lie in the
data files. Both are numbers, lengths and what has them.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from distilbert.core.layouts import Place, from_google
from distilbert.core.mapped_files import MAX_ARRAYS, Bytes, MappedFile, Stored, named_dtype

#: The last bytes of the index, and how many bytes at its end say where its blocks are listed.
_MAGIC, _FOOTER_BYTES = 0xDB4775248B80FB57, 48

#: An index holds names and places only; the largest BERT's has some fifty thousand bytes, and its records
#: some thirty.
MAX_INDEX_BYTES = 4 * 2**20
_MAX_NAME_BYTES, _MAX_RECORD_BYTES = 256, 4096

#: TensorFlow's numbers for the types that weights come in. Others, such as texts, are no weights.
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64",
    10: "bool", 14: "bfloat16", 19: "float16",
}  # fmt: skip

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class GoogleFile(MappedFile):
    """An open checkpoint: ``.index`` and the ``.data`` files beside it."""

    rule = "A TensorFlow checkpoint must have its .index and all .data files, as TensorFlow wrote them."

    def _index(self) -> Iterator[tuple[str, Stored]]:
        if self.path.stat().st_size > MAX_INDEX_BYTES:
            raise ValueError(f"an index of more than {MAX_INDEX_BYTES} bytes")
        table = list(_table(self.path.read_bytes()))
        records = dict(table)
        if len(records) < len(table):
            raise ValueError("a name that stands twice")
        head = _fields(records.pop(b"", b""))
        shards, endian = _number(head, 1), _number(head, 2)
        if not 1 <= shards <= 1000 or endian:
            raise ValueError(f"{shards} data files, or numbers in big-endian order")
        data = [self._map(self._data_file(i, shards)) for i in range(shards)]
        for name, record in records.items():
            stored = _stored(_fields(record), data)
            if stored is None:
                self.set_aside += (name.decode(),)
            else:
                yield name.decode(), stored

    def _published(self, name: str) -> Place | None:
        return from_google(name)

    def _data_file(self, i: int, shards: int) -> Path:
        return self.path.with_suffix(f".data-{i:05}-of-{shards:05}")


def _stored(record: dict[int, list[int | bytes]], data: list[Bytes]) -> Stored | None:
    """Where a record says that an array lies; None for what is no array of numbers."""
    if 7 in record:
        raise ValueError("a variable in slices")
    dtype = _DTYPES.get(_number(record, 1))
    if dtype is None:
        return None
    sizes = [_fields(_content(axis)) for axis in _fields(_content(record.get(2, [b""])[0])).get(2, [])]
    place = data[_number(record, 3)]
    shape = tuple(_number(axis, 1) for axis in sizes)
    return Stored(shape, named_dtype(dtype), ((place, _number(record, 4), _number(record, 5)),))


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and records of a sorted table."""
    if len(content) < _FOOTER_BYTES or struct.unpack("<Q", content[-8:])[0] != _MAGIC:
        raise ValueError("no such table")
    _, at = _varint(content, len(content) - _FOOTER_BYTES)
    _, at = _varint(content, at)
    start, at = _varint(content, at)
    size, _ = _varint(content, at)
    count, end = 0, 0
    for _, handle in _block(content, start, size):
        start, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        if start < end:
            raise ValueError("blocks that share their bytes")
        end = start + size
        for entry in _block(content, start, size):
            count += 1
            if count > MAX_ARRAYS:
                raise ValueError(f"more than {MAX_ARRAYS} names")
            yield entry


def _block(content: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and records of one block. A name says only where it differs from the one before."""
    if start + size >= len(content):
        raise ValueError("a block beyond the end")
    if content[start + size]:
        raise ValueError("a packed block")
    block = content[start : start + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block that ends before it begins")
    at, name = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        too_long = shared + fresh > _MAX_NAME_BYTES or length > _MAX_RECORD_BYTES
        if too_long or shared > len(name) or at + fresh + length > end:
            raise ValueError("a name or a record that is longer than it can be")
        name = name[:shared] + block[at : at + fresh]
        at += fresh
        yield name, block[at : at + length]
        at += length


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """The fields of a protocol buffer by number, each as often as it stands there."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | bytes
        if tag & 7 == _VARINT:
            value, at = _varint(message, at)
        else:
            kind = tag & 7
            if kind == _BYTES:
                length, at = _varint(message, at)
            elif kind in (_FIXED32, _FIXED64):
                length = 4 if kind == _FIXED32 else 8
            else:
                raise ValueError("a record that is none")
            if at + length > len(message):
                raise ValueError("a record that ends early")
            value = message[at : at + length]
            at += length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: dict[int, list[int | bytes]], key: int) -> int:
    value = fields.get(key, [0])[-1]
    if not isinstance(value, int) or value >= 2**63:
        raise ValueError("something else than a size")
    return value


def _content(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("something else than a record")
    return value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number whose bytes say by their highest bit whether more of it follow, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without an end")
