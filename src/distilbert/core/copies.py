"""Copies of a run that is under way, beside its output: whatever ends it, the newest good one goes on.

They stand in ``<out>.checkpoints/step-00000500``, each a model's folder with what the run alone needs in
addition. A copy appears complete or not at all; what is in it is held against the sizes and sums that were
noted when it was written, so that one that a crash has halved is passed over.
"""

import json
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.files import make_folder, read_json, unwritable, write_json
from distilbert.core.locks import locked
from distilbert.core.output import new_folder
from distilbert.errors import CheckpointError, ConfigError, OutputError

#: What a copy says of the run: how far it was, and which run it is of.
RUN_FILE = "run.json"

_COPY = re.compile(r"step-(\d{8,})")
_PARTIAL = re.compile(r"\.step-\d{8,}\.[0-9a-f]{8}\.partial")
_LOCK_FILE = ".lock"
#: Copies that are kept: the newest, and one in case the newest turns out to be damaged.
_KEPT = 2


@dataclass(frozen=True)
class Copy:
    """One of them: its folder, and what its ``run.json`` says."""

    folder: Path
    facts: Mapping[str, Any]


@contextmanager
def claimed(out: str | Path, *, resume: bool, force: bool) -> Iterator["Copies"]:
    """The copies of the run that writes ``out``, which while this lasts no other process writes.

    Args:
        out: the run's output folder.
        resume: the newest good copy is ``found``, to go on from.
        force: begin anew, although an earlier run left copies; they go when this run has one of its own.

    Raises:
        OutputError: another process is writing them, an earlier run left some and neither was chosen, or the
            place cannot be used.
    """
    root = _root(out)
    if root.exists() and not root.is_dir():
        raise OutputError(
            "The place for a run's checkpoints must be free.",
            received=f"the file {root}",
            remedy="Move it, or choose another output folder.",
        )
    had = root.exists()
    make_folder(root)
    lock = root / _LOCK_FILE
    try:
        file = lock.open("ab")
    except OSError as error:
        raise unwritable(root, error) from error
    with file:
        # It ends with its process, however that ends.
        if not locked(file.fileno()):
            raise OutputError(
                "One run at a time may write an output.",
                received=f"another one that is writing {root}",
                remedy="Wait for its end, or choose another output folder.",
            )
        try:
            for entry in root.iterdir():
                if _PARTIAL.fullmatch(entry.name):  # of a run that was killed: none else is writing
                    shutil.rmtree(entry, ignore_errors=True)
            copies = Copies(out, resume=resume)
            if copies.standing and not (resume or force):
                raise OutputError(
                    "A run that was interrupted must be resumed or given up.",
                    received=f"its checkpoints in {root}",
                    remedy="Add --resume (resume=True) to go on with it, or --force (force=True) to begin "
                    "anew.",
                )
            yield copies
        finally:
            with suppress(OSError):
                lock.unlink()
            if not had or not Copies(out).standing:
                with suppress(OSError):  # something else stands there too
                    root.rmdir()


class Copies:
    """The copies of the run that writes ``out``; who writes them has ``claimed`` them.

    Args:
        out: the run's output folder.
        resume: look for the newest good one.

    Attributes:
        root: where they stand.
        found: what to go on from, or None.
    """

    def __init__(self, out: str | Path, *, resume: bool = False) -> None:
        self.root = _root(out)
        self.found = self._newest() if resume else None
        #: Of an earlier run, that this one does not go on with.
        self._given_up = [] if self.found else self.standing

    @contextmanager
    def new(self, step: int, facts: Mapping[str, Any]) -> Iterator[Path]:
        """A folder to fill; at the end of the block it is the newest copy, and the oldest ones go.

        Raises:
            OutputError: it cannot be written.
        """
        path = self.root / f"step-{step:08d}"
        with new_folder(path, force=True) as folder:
            yield folder
            files = {
                file.relative_to(folder).as_posix(): _sum(file)
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            write_json(folder / RUN_FILE, {"step": step, **facts, "files": files})
        for old in self._given_up:
            if old != path:
                shutil.rmtree(old, ignore_errors=True)
        self._given_up = []
        for old in self.standing[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def aside(self) -> Iterator["Copies"]:
        """Others on the same disk, to measure what one costs; at the end of the block they are gone."""
        place = self.root / f".step-{0:08d}.{secrets.token_hex(4)}.partial"
        try:
            yield Copies(place / "tried")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def path(self, step: int) -> Path:
        """Where the copy of this step stands."""
        return self.root / f"step-{step:08d}"

    def discard(self) -> None:
        """Remove them: the run is complete, and its output holds what they were kept for."""
        if not self._given_up:
            for copy in self.standing:
                shutil.rmtree(copy, ignore_errors=True)

    @property
    def standing(self) -> list[Path]:
        """The folders of copies, the oldest first; nothing else that stands there."""
        if not self.root.is_dir():
            return []
        named = [entry for entry in self.root.iterdir() if _COPY.fullmatch(entry.name)]
        return sorted((entry for entry in named if (entry / RUN_FILE).is_file()), key=_step)

    def _newest(self) -> Copy | None:
        for folder in reversed(self.standing):
            with suppress(CheckpointError, OSError, ValueError):
                facts = read_json(folder / RUN_FILE)
                files = facts["files"] if isinstance(facts.get("files"), dict) else {}
                if files and all(_sum(folder / name) == noted for name, noted in files.items()):
                    return Copy(folder, facts)
        return None


def _root(out: str | Path) -> Path:
    out = Path(out).resolve()
    return out.with_name(out.name + ".checkpoints")


def _step(folder: Path) -> int:
    found = _COPY.fullmatch(folder.name)
    return int(found[1]) if found else -1


def _sum(file: Path) -> list[int]:
    """A file's size and checksum."""
    total = size = 0
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            total, size = zlib.crc32(block, total), size + len(block)
    return [size, total]


def fingerprint(arrays: Mapping[str, "np.ndarray[Any, Any]"]) -> str:
    """What tells arrays of these names and numbers from others: those that two runs began with."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).data.cast("B"), total)
    return f"{total:08x}"


def fingerprint_of(*values: Any) -> str:
    """What tells such values from others, as ``fingerprint`` does arrays."""
    total = 0
    for value in values:
        total = zlib.crc32(json.dumps(value, sort_keys=True, default=str).encode(), total)
    return f"{total:08x}"


def refuse_another(what: str, differing: Sequence[str], *, place: Path) -> None:
    """Refuse to go on with something that was given other things to do.

    Args:
        what: it is: a "run".
        differing: the names of what differs.
        place: where it was interrupted.

    Raises:
        ConfigError: anything does.
    """
    if differing:
        raise ConfigError(
            f"Only the {what} that was interrupted can be resumed.",
            received=f"another {', '.join(differing[:6])} than in {place}",
            remedy="Give it what it was given, or begin anew with --force (force=True).",
        )


def refuse_other_notes(what: str, file: Path, noted: Mapping[str, Any]) -> None:
    """The same, by what it noted in a file when it began.

    Raises:
        ConfigError: something else is to be done now.
    """
    before = read_json(file)
    refuse_another(what, [name for name in noted if before.get(name) != noted[name]], place=file.parent)
