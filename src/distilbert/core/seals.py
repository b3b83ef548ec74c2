"""Whether files are still what they were: by what the system says of them, else by their content."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Seal:
    """A file as it was.

    Attributes:
        name: in its folder.
        size: in bytes.
        stamps: when it and its entry were last changed, in nanoseconds, and the entry's number. A copy has
            others; a file that has the same was not written to.
        sha256: of its content.
    """

    name: str
    size: int
    stamps: tuple[int, ...]
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """
        Raises:
            OSError: it cannot be read.
        """
        size, stamps = _seen(path)
        return cls(path.name, size, stamps, _sum(path))

    @classmethod
    def from_dict(cls, told: Any) -> Self:
        """What ``vars`` said, out of a JSON file.

        Raises:
            TypeError, ValueError: it is something else.
        """
        made = cls(**told)
        return cls(str(made.name), int(made.size), tuple(map(int, made.stamps)), str(made.sha256))

    def holds(self, folder: Path) -> bool:
        """Whether that file of a folder is the same."""
        path = folder / self.name
        try:
            size, stamps = _seen(path)
            return size == self.size and (stamps == self.stamps or _sum(path) == self.sha256)
        except OSError:
            return False


def sealed(paths: Iterable[Path]) -> list[Seal]:
    """Seals of files, in the order of their names."""
    return [Seal.of(path) for path in sorted(paths)]


def hold(seals: Sequence[Seal], folder: Path, paths: Iterable[Path]) -> bool:
    """Whether these are the sealed files of a folder, no more and no fewer, and none has changed."""
    return [seal.name for seal in seals] == sorted(path.name for path in paths) and all(
        seal.holds(folder) for seal in seals
    )


def _seen(path: Path) -> tuple[int, tuple[int, ...]]:
    found = path.stat()
    return found.st_size, (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
