"""Which processes a process has started, and how one is held up."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from held_runtime import until


def children_of(process: int | str = "self") -> set[int]:
    """Those that are there."""
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def hold_up(process: int) -> None:
    """Stop a process: from then on it takes what it is sent, and does nothing about it."""
    os.kill(process, signal.SIGSTOP)
    tasks = Path(f"/proc/{process}/task")
    # Behind the name, which may have brackets of its own.
    until(
        lambda: {(own / "stat").read_text().rpartition(")")[2].split()[0] for own in tasks.iterdir()} == {"T"}
    )
