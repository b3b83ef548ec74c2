"""A runtime that computes when it is let, and as slowly as it is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Held:
    """``gate`` lets batches through; ``came`` are the shapes of those before it, ``took`` of those behind."""

    gate: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.0
    came: list[Any] = field(default_factory=list)
    took: list[Any] = field(default_factory=list)


@contextmanager
def held_runtime() -> Iterator[Held]:
    """Hold up ONNX Runtime in this process."""
    from distilbert.engine.runtimes.onnx import OnnxRuntime

    held, run = Held(), OnnxRuntime.run
    held.gate.set()

    def running(self: Any, feed: Any) -> Any:
        held.came.append(feed["input_ids"].shape)
        held.gate.wait(60)
        time.sleep(held.seconds)
        held.took.append(feed["input_ids"].shape)
        return run(self, feed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxRuntime, "run", running)
        try:
            yield held
        finally:
            held.gate.set()


def until(happens: Any, seconds: float = 60) -> None:
    """Wait for something that happens elsewhere."""
    ends = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < ends
        time.sleep(0.005)
