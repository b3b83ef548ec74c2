"""``flax_model.msgpack`` without Flax: a tree of arrays, of which nothing is read that is not asked for.

The file is walked where it lies, and what it says of itself is held against where it ends: libraries that
unpack it make room for whatever number of entries a file claims, in each of a thousand levels.
"""

from collections.abc import Iterator
from typing import Any

from distilbert.core.layouts import Place, from_flax
from distilbert.core.mapped_files import MAX_ARRAYS, MAX_AXES, Bytes, MappedFile, Stored, named_dtype

#: Levels of the tree; a model's has eight or so.
MAX_DEPTH = 32

#: What stands in the tree in place of an array that is too long for one entry.
CHUNKED = "__msgpack_chunked_array__"

#: The kinds of entries that are arrays: with axes, and of one number.
_ARRAY, _NUMBER = 1, 3


class MsgpackFile(MappedFile):
    """An open ``.msgpack`` file."""

    rule = "A .msgpack file must be a whole one of Flax's, and hold a tree of arrays and nothing else."

    def _index(self) -> Iterator[tuple[str, Stored]]:
        walk = _Walk(self._map(self.path))
        yield from walk.tree("", 0)
        if walk.at != walk.data.size:
            raise ValueError("more than one tree")

    def _published(self, name: str) -> Place:
        return from_flax(name)


class _Walk:
    """Goes through the entries of a file from the first to the last."""

    def __init__(self, data: Bytes, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = start
        self._end = data.size if end is None else end
        self._seen = 0

    def tree(self, path: str, depth: int) -> Iterator[tuple[str, Stored]]:
        """The arrays under one node, by their paths."""
        if depth > MAX_DEPTH:
            raise ValueError(f"a tree of more than {MAX_DEPTH} levels")
        for i in range(self._length("map")):
            self._count(1)
            name = self._text()
            if name == CHUNKED and i == 0:
                raise _Chunked
            here = f"{path}/{name}" if path else name
            if self._is_map():
                start = self.at
                try:
                    yield from self.tree(here, depth + 1)
                except _Chunked:
                    self.at = start
                    yield here, self._chunked()
            else:
                yield here, self._array()

    def _chunked(self) -> Stored:
        """An array in pieces: its shape and they are numbered as texts."""
        parts: dict[str, Any] = {}
        for _ in range(self._length("map")):
            name = self._text()
            if name == CHUNKED:
                self._skip(1)
            elif name == "shape":
                count = self._length("map", MAX_AXES)
                parts[name] = {self._text(): self._number() for _ in range(count)}
            elif name == "chunks":
                count = self._length("map", MAX_ARRAYS)
                self._count(count)
                parts[name] = {self._text(): self._array() for _ in range(count)}
            else:
                raise ValueError("an array in pieces that is none")
        shape, chunks = ([parts[n][str(i)] for i in range(len(parts[n]))] for n in ("shape", "chunks"))
        if len({chunk.dtype for chunk in chunks}) != 1:
            raise ValueError("pieces of several types")
        return Stored(tuple(shape), chunks[0].dtype, tuple(p for chunk in chunks for p in chunk.pieces))

    def _array(self) -> Stored:
        kind, start, end = self._extension()
        if kind not in (_ARRAY, _NUMBER):
            raise ValueError(f"an entry of kind {kind}, which is no array")
        inside = _Walk(self.data, start, end)
        if inside._length("list") != 3:
            raise ValueError("an array that is none")
        shape = tuple(inside._number() for _ in range(inside._length("list", MAX_AXES)))
        dtype = named_dtype(inside._text())
        length = inside._length("bytes")
        if inside.at + length != end:
            raise ValueError("an array of another length than its entry")
        return Stored(shape, dtype, ((self.data, inside.at, length),))

    def _count(self, entries: int) -> None:
        self._seen += entries
        if self._seen > MAX_ARRAYS:
            raise ValueError(f"more than {MAX_ARRAYS} entries")

    def _is_map(self) -> bool:
        head = self._peek()
        return head & 0xF0 == 0x80 or head in (0xDE, 0xDF)

    def _peek(self) -> int:
        if self.at >= self._end:
            raise ValueError("the file ends early")
        return int(self.data[self.at])

    def _skip(self, count: int) -> int:
        """The place before these bytes, which must be there."""
        start = self.at
        if start + count > self._end:
            raise ValueError("the file ends early")
        self.at += count
        return start

    def _unsigned(self, width: int) -> int:
        start = self._skip(width)
        return int.from_bytes(self.data[start : start + width].tobytes(), "big")

    def _number(self) -> int:
        head = self._unsigned(1)
        if head < 0x80:
            return head
        if 0xCC <= head <= 0xCF:
            return self._unsigned(1 << (head - 0xCC))
        raise ValueError("something else than a size")

    def _length(self, kind: str, most: int | None = None) -> int:
        """How many entries or bytes follow; each of them takes a byte at least."""
        head = self._unsigned(1)
        short, mask, wide = _HEADS[kind]
        if short is not None and head & ~mask == short:
            length = head & mask
        elif head in wide:
            length = self._unsigned(wide[head])
        else:
            raise ValueError(f"something else than a {kind}")
        if length > (self._end - self.at if most is None else most):
            raise ValueError(f"a {kind} that is longer than it can be")
        return length

    def _text(self) -> str:
        length = self._length("text", min(1024, self._end - self.at))
        start = self._skip(length)
        return self.data[start : start + length].tobytes().decode()

    def _extension(self) -> tuple[int, int, int]:
        """The kind of an entry, and where its bytes start and end."""
        head = self._unsigned(1)
        if 0xD4 <= head <= 0xD8:
            length = 1 << (head - 0xD4)
        elif 0xC7 <= head <= 0xC9:
            length = self._unsigned(1 << (head - 0xC7))
        else:
            raise ValueError("an entry that is no array")
        kind = self._unsigned(1)
        start = self._skip(length)
        return kind, start, self.at


class _Chunked(Exception):  # noqa: N818  # no error: a node that turns out to be an array
    """This node stands for one array."""


#: For each kind: the head that holds a short length in itself, and in which bits; heads of longer ones, and
#: how many bytes the length after them takes.
_HEADS: dict[str, tuple[int | None, int, dict[int, int]]] = {
    "map": (0x80, 0x0F, {0xDE: 2, 0xDF: 4}),
    "list": (0x90, 0x0F, {0xDC: 2, 0xDD: 4}),
    "text": (0xA0, 0x1F, {0xD9: 1, 0xDA: 2, 0xDB: 4}),
    "bytes": (None, 0, {0xC4: 1, 0xC5: 2, 0xC6: 4}),
}
