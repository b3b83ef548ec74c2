"""The door of the command line: it answers to Ctrl-C before anything heavy is loaded.

Loading numpy or PyTorch takes seconds, and an interrupt inside their C code ends in tracebacks or worse.
Nothing is being written then, so leaving at once harms nothing.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """A context in which Ctrl-C ends the process on the spot."""
    before = signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main() -> int:
    """Run the command that the process was called with."""
    with leaving_at_once():
        from distilbert.cli.main import main as run
    status = run()
    if status == 0:
        _part()
    return status


def _part() -> None:
    """Leave the processes that shared the work; their threads may not outlive the interpreter's end."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"Stopped. Nothing was overwritten.\n")
    os._exit(130)
