"""How a long job says how far it is. Whoever calls decides what to show; nothing here prints."""

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Called at the start of a stage with ``done`` 0 and then as it advances."""

    def __call__(self, stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
        """
        Args:
            stage: what is being done, in a few words; a new stage begins where it changes.
            done: how much of it is done.
            total: how much there is, or None where that is not known.
            facts: figures worth seeing now, by name.
        """


def silent(stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
    """Says nothing."""
