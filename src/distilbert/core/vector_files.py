"""Vectors of texts into a file, some at a time: numpy's own kind, safetensors, or JSON lines."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as numpy_format

from distilbert.core.files import replacing
from distilbert.errors import OutputError

Vectors = np.ndarray[Any, np.dtype[np.float32]]

#: The kinds of files, by their names' endings.
VECTOR_KINDS = (".npy", ".safetensors", ".jsonl")

#: What a safetensors file calls them.
VECTORS_KEY = "vectors"

#: Room for a header that is written when the number of vectors is known.
_HEADER = 128


class VectorWriter:
    """A file of vectors under way.

    Args:
        file: is empty, and can be written at any place.
        kind: one of ``VECTOR_KINDS``.
        width: numbers of a vector.
    """

    def __init__(self, file: BinaryIO, kind: str, width: int) -> None:
        self._file, self._kind, self._width = file, kind, width
        self.count = 0
        self._write_header()

    def add(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Some more, [texts, width]; texts are written into JSON lines only."""
        if self._kind == ".jsonl":
            for text, vector in zip(texts, vectors, strict=True):
                # Nine digits tell any two numbers of this type apart.
                numbers = ", ".join(format(number, ".9g") for number in vector.tolist())
                line = f'{{"text": {json.dumps(text, ensure_ascii=False)}, "vector": [{numbers}]}}\n'
                self._file.write(line.encode())
        else:
            self._file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        self.count += len(vectors)

    def finish(self) -> None:
        """Say how many there are."""
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        shape = (self.count, self._width)
        if self._kind == ".npy":
            # The library leaves room for the first axis to grow.
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            numpy_format.write_array_header_1_0(self._file, header)
        elif self._kind == ".safetensors":
            size = 4 * self.count * self._width
            entry = {VECTORS_KEY: {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}
            text = json.dumps(entry).encode().ljust(_HEADER)
            self._file.write(len(text).to_bytes(8, "little") + text)


def vector_kind(path: Path) -> str:
    """What a file of vectors is to be.

    Raises:
        OutputError: its name does not say it, or it is a folder.
    """
    if path.suffix in VECTOR_KINDS and not path.is_dir():
        return path.suffix
    raise OutputError(
        f"A file of vectors is named .{', .'.join(kind[1:] for kind in VECTOR_KINDS)}.",
        received=f"{'the folder ' if path.is_dir() else ''}{path}",
        remedy="Choose one of these endings.",
    )


@contextmanager
def writing_vectors(path: Path, *, width: int) -> Iterator[VectorWriter]:
    """A file that becomes ``path`` when the block ends well; else what was there stays.

    Raises:
        OutputError: its name does not say what it is to be, or it cannot be written.
    """
    kind = vector_kind(path)
    with replacing(path) as partial, partial.open("wb") as file:
        writer = VectorWriter(file, kind, width)
        yield writer
        writer.finish()
