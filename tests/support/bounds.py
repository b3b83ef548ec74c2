"""What reading a file may cost, whatever stands in it."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bounded(*, seconds: float = 5, memory: int = 50 * 2**20) -> Iterator[None]:
    """Fails where the block takes more; what it raises goes through."""
    tracemalloc.start()
    started = time.perf_counter()
    try:
        yield
    finally:
        took, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert took < seconds, f"{took:.1f} seconds"
        assert peak < memory, f"{peak:,} bytes"
