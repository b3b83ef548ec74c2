"""A recipe's fields out of a file."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilbert.errors import ConfigError


def read_fields(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """What a .toml or .json file says; ``names`` are those that could have been given instead.

    Raises:
        ConfigError: there is no such file, or it is neither.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise ConfigError(
            f"A recipe is one of {', '.join(names)}, or a .toml or .json file.",
            received=str(path),
            remedy="Check the name.",
        ) from None
    try:
        text = content.decode("utf-8-sig")  # some editors begin a file with a mark
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            "A recipe's file must be well-formed TOML or JSON.",
            received=f"{path}: {error}",
            remedy="Correct it there.",
        ) from None
    return dict(values) if isinstance(values, dict) else {str(path): values}


def known_fields(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The same values.

    Raises:
        ConfigError: one is of no field of these names.
    """
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ConfigError(
            f"A recipe of this kind has the fields {', '.join(names)}.",
            received=", ".join(unknown),
            remedy="Correct the name, or remove it.",
        )
    return values
