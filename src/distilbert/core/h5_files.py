"""``tf_model.h5`` without TensorFlow and without HDF5's library: where each array lies, as the format says.

HDF5 can point to other files, make numbers out of nothing and unpack them without end, and its library
follows whatever a file tells it, around in circles too. A file of weights needs none of it: groups of names,
and arrays that are rows of bytes in the file itself. That much of the format (version 1 of its groups and
heads, which Keras has always written) is walked here, with so many steps and no more; anything else is an
error.
"""

import struct
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from distilbert.core.layouts import Place, from_keras
from distilbert.core.mapped_files import MAX_ARRAYS, MAX_AXES, Bytes, MappedFile, Stored, named_dtype

#: Groups in groups; a model's file has a dozen.
MAX_DEPTH = 32

#: Entries, nodes and messages that are read; an array has about ten.
MAX_STEPS = 20 * MAX_ARRAYS
_MAX_PATH_BYTES = _MAX_MESSAGE_BYTES = 1024

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Where there is nothing.
_NOWHERE = 2**64 - 1

#: Messages of an object's head, by number.
_SPACE, _TYPE, _EXTERNAL, _LAYOUT, _FILTERS, _CONTINUED, _GROUP = 0x01, 0x03, 0x07, 0x08, 0x0B, 0x10, 0x11
#: Those of groups in the newer layout.
_NEWER = (0x02, 0x06)

_CONTIGUOUS = 1
#: What describes a float beside its order: its size, and its fields' places and sizes.
_FLOATS = {
    2: struct.pack("<HHBBBBI", 0, 16, 10, 5, 0, 10, 15),
    4: struct.pack("<HHBBBBI", 0, 32, 23, 8, 0, 23, 127),
    8: struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023),
}


class H5File(MappedFile):
    """An open ``.h5`` file, whole or a shard."""

    rule = (
        "An .h5 file must be a whole one of TensorFlow's, and hold arrays of numbers in plain rows of bytes."
    )

    def _index(self) -> Iterator[tuple[str, Stored]]:
        yield from _without_groups(dict(_Walk(self._map(self.path)).arrays()))

    def _published(self, name: str) -> Place:
        return from_keras(name)


class _Walk:
    """Goes from the root of a file to its arrays."""

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._bytes = memoryview(data)  # type: ignore[arg-type]  # numpy's stubs
        self._steps = 0

    def arrays(self) -> Iterator[tuple[str, Stored]]:
        """Every array by its path; one of several names is given under the first."""
        waiting: list[tuple[str, int, int, int]] = [("", *self._root(), 0)]
        seen: set[int] = set()
        while waiting:
            path, tree, heap, depth = waiting.pop()
            for name, head in self._links(tree, heap):
                here = f"{path}/{name}" if path else name
                messages = self._messages(head)
                is_group = _GROUP in messages
                if head in seen and not is_group:
                    continue
                if head in seen or depth > MAX_DEPTH or len(here) > _MAX_PATH_BYTES:
                    raise ValueError(f"{here:.80} leads around, or too deep into the file")
                seen.add(head)
                if is_group:
                    waiting.append((here, *struct.unpack_from("<QQ", messages[_GROUP]), depth + 1))
                elif {_SPACE, _TYPE, _LAYOUT} <= set(messages):
                    yield here, self._stored(here, messages)
                else:
                    raise ValueError(f"{here:.80} is no array")

    def _root(self) -> tuple[int, int]:
        """The tree and the heap of the outermost group."""
        if bytes(self._bytes[:8]) != _SIGNATURE:
            raise ValueError("no HDF5 file, or something else before its start")
        version, sizes = self._bytes[8], bytes(self._bytes[13:15])
        if version > 1:
            raise ValueError("the layout of newer HDF5 files, which TensorFlow does not choose")
        (base, _, end) = self._at("<QQQ", 24 + 4 * version)
        if sizes != b"\x08\x08" or base or end > len(self._bytes):
            raise ValueError("the file ends early, or begins elsewhere")
        messages = self._messages(*self._at("<Q", 64 + 4 * version))
        tree, heap = struct.unpack_from("<QQ", messages[_GROUP])
        return tree, heap

    def _messages(self, head: int) -> dict[int, bytes]:
        """The messages of an object's head, by their numbers."""
        version, left, size = self._at("<BxH4xI", head)
        if version != 1:
            raise ValueError("the head of an object of newer HDF5 files, or of none")
        found: dict[int, bytes] = {}
        blocks = [(head + 16, size)]
        while blocks:
            at, size = blocks.pop()
            end = at + size
            while left and at + 8 <= end:
                kind, length, flags = self._at("<HHB", at)
                if at + 8 + length > end:
                    raise ValueError("the head of an object that ends early")
                if kind == _CONTINUED:
                    blocks.append(self._at("<QQ", at + 8))
                elif kind in _NEWER:
                    raise ValueError("a group of newer HDF5 files, or with links out of it")
                elif kind in (_SPACE, _TYPE, _EXTERNAL, _LAYOUT, _FILTERS, _GROUP):
                    if kind in found or flags & 2:
                        raise ValueError("a head that says a thing twice, or elsewhere")
                    found[kind] = bytes(self._bytes[at + 8 : at + 8 + min(length, _MAX_MESSAGE_BYTES)])
                at += 8 + length
                left -= 1
        return found

    def _links(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """The names in a group, and where the heads of what they name are."""
        signature, version, size, start = self._at("<4sB3xQ8xQ", heap)
        if signature != b"HEAP" or version or start + size > len(self._bytes):
            raise ValueError("a group without its names")
        nodes = [tree]
        while nodes:
            node = nodes.pop()
            signature, kind, count = self._at("<4sBxH", node)
            if signature == b"TREE" and kind == 0:
                # Between two children stands a key; the first child is the next to be looked at.
                children = [self._at("<8xQ", node + 24 + 16 * i)[0] for i in range(count)]
                nodes += children[::-1]
            elif signature == b"SNOD":
                for i in range(count):
                    yield self._link(node + 8 + 40 * i, start, size)
            else:
                raise ValueError("a group without its tree")

    def _link(self, at: int, names: int, size: int) -> tuple[str, int]:
        name_at, head, cache = self._at("<QQI", at)
        if name_at >= size:
            raise ValueError("a name beyond the others")
        name = bytes(self._bytes[names + name_at : names + min(size, name_at + _MAX_PATH_BYTES)])
        if b"\0" not in name:
            raise ValueError("a name that is longer than it can be")
        text = name.partition(b"\0")[0].decode()
        if cache > 1 or head == _NOWHERE:
            raise ValueError(f"{text:.80} is a link")
        return text, head

    def _stored(self, path: str, messages: dict[int, bytes]) -> Stored:
        version, kind = messages[_LAYOUT][:2]
        if version not in (3, 4) or kind != _CONTIGUOUS or {_FILTERS, _EXTERNAL} & set(messages):
            raise ValueError(f"{path:.80} is not a plain row of bytes")
        start, size = struct.unpack_from("<QQ", messages[_LAYOUT], 2)
        pieces = ((self._data, start, size),) if start != _NOWHERE else ()
        return Stored(_shape(path, messages[_SPACE]), _dtype(path, messages[_TYPE]), pieces)

    def _at(self, form: str, place: int) -> tuple[Any, ...]:
        """What stands at a place, which must be in the file."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise ValueError(f"more than {MAX_STEPS} entries")
        if place + struct.calcsize(form) > len(self._bytes):
            raise ValueError("the file ends early")
        return struct.unpack_from(form, self._bytes, place)


def _shape(path: str, space: bytes) -> tuple[int, ...]:
    version, rank, _, kind = space[:4]
    start = {1: 8, 2: 4}[version]
    if version == 2 and kind > 1:
        raise ValueError(f"{path:.80} has no shape")
    if rank > MAX_AXES:
        raise ValueError(f"{path:.80} has more than {MAX_AXES} axes")
    return struct.unpack_from(f"<{rank}Q", space, start)


def _dtype(path: str, kind: bytes) -> "np.dtype[Any]":
    """The type of numbers, of those that weights come in."""
    (about, size) = struct.unpack_from("<II", kind)
    order: Literal["<", ">"] = ">" if about >> 8 & 1 else "<"
    match about & 15:
        case 0:  # whole
            name = f"{'u' * (not about >> 11 & 1)}int{8 * size}"
        case 1 if kind[8:20] == _FLOATS.get(size):
            name = f"float{8 * size}"
        case 8 if size == 1 and b"FALSE\0" in kind and b"TRUE\0" in kind:  # a choice of two
            name = "bool"
        case _:
            raise ValueError(f"{path:.80} holds other things than numbers")
    return named_dtype(name).newbyteorder(order)


def _without_groups(found: dict[str, Stored]) -> Iterator[tuple[str, Stored]]:
    """Names without what stands before them in a whole file: the group of a layer, and the model's name.

    Shards have neither. A layer that uses another's arrays has copies of them in its group; they come last,
    and so give way to the other's own.
    """
    split = {path: path.split("/") for path in found}
    whole = any(len(parts) > 3 and parts[0] == parts[2] for parts in split.values())
    given: set[str] = set()
    for path in sorted(found, key=lambda path: split[path][:1] != split[path][2:3]):
        name = "/".join(split[path][2:]) if whole else path
        if name not in given:
            given.add(name)
            yield name, found[path]
