"""What an engine has done, counted."""

import threading
from dataclasses import dataclass, field


@dataclass
class Tally:
    """
    Attributes:
        groups: calls of the runtime.
        rows: in them.
        tokens: of these rows.
        places: of tokens, padding included.
        cut: texts that lost some of their tokens.
        windowed: texts that were read in several windows.
    """

    groups: int = 0
    rows: int = 0
    tokens: int = 0
    places: int = 0
    cut: int = 0
    windowed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **counts: int) -> None:
        """Count some more, from whichever thread."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    @property
    def padding(self) -> float:
        """The share of what was computed that was padding."""
        return 1 - self.tokens / self.places if self.places else 0.0
