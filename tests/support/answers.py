"""Answers of two ways, held against each other."""

from typing import Any

import pytest


def close(found: Any, wanted: Any) -> bool:
    """Whether answers are the same; texts are computed in other company, which rounds otherwise."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    return found == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)
