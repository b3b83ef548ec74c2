"""The folder beside the output in which a compression that is under way keeps all that it has paid for."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilbert.core.copies import refuse_another
from distilbert.core.files import make_folder, read_json, write_json
from distilbert.core.locks import hold
from distilbert.core.output import refuse_taken
from distilbert.errors import ConfigError, DataError, OutputError

_NOTES, _CLOCK = "run.json", "clock.json"


@dataclass
class Work:
    """
    Attributes:
        folder: where it all is.
        before: seconds that were spent in earlier processes.
    """

    folder: Path
    before: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Seconds so far, in all processes; asking keeps the figure."""
        spent = self.before + time.monotonic() - self._started
        with suppress(OutputError):
            write_json(self.folder / _CLOCK, {"spent": round(spent, 2)})
        return spent

    def kept(self, name: str) -> dict[str, Any]:
        """What was kept under a name; nothing where nothing was."""
        found: dict[str, Any] = read_json(self.folder / f"{name}.json", missing_is_empty=True)
        return found

    def keep(self, name: str, facts: Mapping[str, Any]) -> None:
        write_json(self.folder / f"{name}.json", facts)


@contextmanager
def claimed(out: str | Path, noted: Mapping[str, Any], *, resume: bool, force: bool) -> Iterator[Work]:
    """The work of the compression that writes ``out``; while this lasts no other process has it.

    Args:
        out: the output folder.
        noted: what the run was given, by which another one is told.
        resume: go on with what an earlier one left.
        force: replace a model at ``out``, and give up what an earlier one left.

    Raises:
        ConfigError: what was left is of another run.
        OutputError: ``out`` is taken, or something was left and neither is chosen, or another process has it.
    """
    out = Path(out).resolve()
    refuse_taken(out, force=force)
    folder = out.with_name(out.name + ".compressing")
    noted = json.loads(json.dumps(noted, default=str))
    if folder.exists() and force and not resume:
        shutil.rmtree(folder)
    if folder.exists() and not resume:
        raise OutputError(
            "A compression that was interrupted must be resumed or given up.",
            received=f"what it left in {folder}",
            remedy="Add --resume (resume=True) to go on with it, or --force (force=True) to begin anew.",
        )
    had = folder.exists()
    make_folder(folder)
    held = hold(folder)
    if held is None and os.name != "nt":  # which locks no folders
        raise OutputError(
            "One compression at a time may write an output.",
            received=f"another one that is writing {folder}",
            remedy="Wait for its end, or choose another output folder.",
        )
    try:
        before = read_json(folder / _NOTES, missing_is_empty=True)
        if before:
            differing = [name for name in noted if before.get(name) != noted[name]]
            refuse_another("compression", differing, place=folder)
        else:
            write_json(folder / _NOTES, noted)
        spent = read_json(folder / _CLOCK, missing_is_empty=True).get("spent", 0.0)
        try:
            yield Work(folder, float(spent))
        except (ConfigError, DataError):
            if not had:  # refused before anything was paid for: what is given next is another run
                shutil.rmtree(folder, ignore_errors=True)
            raise
    finally:
        if held is not None:
            os.close(held)


def discard(work: Work) -> None:
    """Remove what was kept, once the output stands."""
    shutil.rmtree(work.folder, ignore_errors=True)
