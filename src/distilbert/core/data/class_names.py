"""Numbers of classes as the names that a data set has for them: ``datasets`` objects, and their files."""

import json
from collections.abc import Mapping
from typing import Any

#: By column, the names of its classes.
Names = Mapping[str, tuple[str, ...]]


def class_names(features: Any) -> Names:
    """The names that features have for classes.

    Args:
        features: by column; objects of ``datasets``, or what its files say of them. Anything else has none.
    """
    if not isinstance(features, Mapping):
        return {}
    found = {column: _names(feature) for column, feature in features.items()}
    return {str(column): names for column, names in found.items() if names}


def noted_names(metadata: Mapping[bytes, bytes] | None) -> Names:
    """The names that a Parquet file's metadata has, as ``datasets`` writes them."""
    try:
        return class_names(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def named(row: dict[str, Any], names: Names) -> dict[str, Any]:
    """A row with names in place of numbers; a class below zero, as of what is unlabelled, is None."""
    if not names:
        return row
    return {key: _named(value, names[key]) if key in names else value for key, value in row.items()}


def _names(feature: Any) -> tuple[str, ...] | None:
    if isinstance(feature, list | tuple):  # a list of one feature is that of a list
        return _names(feature[0]) if len(feature) == 1 else None
    names, inner = (
        feature.get(name) if isinstance(feature, Mapping) else getattr(feature, name, None)
        for name in ("names", "feature")
    )
    if isinstance(names, list | tuple) and names:
        return tuple(map(str, names))
    return None if inner is None else _names(inner)


def _named(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list | tuple):
        return [_named(one, names) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and value < len(names):
        return names[value] if value >= 0 else None
    return value
