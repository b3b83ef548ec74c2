"""``tf_model.h5`` without TensorFlow: the HDF5 library says where arrays lie, and they are read from there.

HDF5 can point to other files, make numbers out of nothing and unpack them without end. A file of weights
needs none of it: an array here is a row of bytes in the file itself, and anything else is an error.
"""

from collections.abc import Iterator
from typing import Any

from distilbert.core.layouts import Place, from_keras
from distilbert.core.mapped_files import MAX_ARRAYS, MappedFile, Stored, named_dtype
from distilbert.errors import MissingExtraError

#: Groups in groups; a model's file has a dozen.
MAX_DEPTH = 32


class H5File(MappedFile):
    """An open ``.h5`` file, whole or a shard."""

    rule = (
        "An .h5 file must be a whole one of TensorFlow's, and hold arrays of numbers in plain rows of bytes."
    )

    def _index(self) -> Iterator[tuple[str, Stored]]:
        try:
            import h5py
        except ImportError:
            raise MissingExtraError.of("convert", wanted="Reading .h5 files", missing="h5py") from None
        data = self._map(self.path)
        with h5py.File(self.path, "r") as file:
            if file.userblock_size:
                raise ValueError("something else before the file's start")
            found = dict(_arrays(h5py, file, data))
        yield from _without_groups(found)

    def _published(self, name: str) -> Place:
        return from_keras(name)


def _arrays(h5py: Any, file: Any, data: Any) -> Iterator[tuple[str, Stored]]:
    """Every array by its path, without following a link out of the file or around in it."""
    waiting: list[tuple[str, Any, int]] = [("", file, 0)]
    seen: set[int] = set()
    while waiting:
        path, group, depth = waiting.pop()
        for name in group:
            here = f"{path}/{name}" if path else name
            if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
                raise ValueError(f"{here:.80} is a link")
            about = h5py.h5o.get_info(group.id, name.encode())
            if about.addr in seen and about.type == h5py.h5o.TYPE_DATASET:
                continue  # an array may have several names, of which one does
            if about.addr in seen or len(seen) > MAX_ARRAYS or depth > MAX_DEPTH:
                raise ValueError(f"{here:.80} leads around, or too deep into the file")
            seen.add(about.addr)
            if about.type == h5py.h5o.TYPE_GROUP:
                waiting.append((here, group[name], depth + 1))
            elif about.type == h5py.h5o.TYPE_DATASET:
                yield here, _stored(h5py, here, group[name], data)
            else:
                raise ValueError(f"{here:.80} is no array")


def _stored(h5py: Any, path: str, array: Any, data: Any) -> Stored:
    made = array.id.get_create_plist()
    plain = (
        made.get_layout() == h5py.h5d.CONTIGUOUS and not made.get_nfilters() and not made.get_external_count()
    )
    if not plain or array.shape is None:
        raise ValueError(f"{path:.80} is not a plain row of bytes")
    dtype = array.dtype
    named_dtype(dtype.newbyteorder("=").name)
    start, size = array.id.get_offset(), array.id.get_storage_size()
    return Stored(tuple(array.shape), dtype, ((data, start, size),) if start is not None else ())


def _without_groups(found: dict[str, Stored]) -> Iterator[tuple[str, Stored]]:
    """Names without what stands before them in a whole file: the group of a layer, and the model's name.

    Shards have neither. A layer that uses another's arrays has copies of them in its group; they come last,
    and so give way to the other's own.
    """
    split = {path: path.split("/") for path in found}
    whole = any(len(parts) > 3 and parts[0] == parts[2] for parts in split.values())
    for path in sorted(found, key=lambda path: split[path][:1] != split[path][2:3]):
        yield "/".join(split[path][2:]) if whole else path, found[path]
