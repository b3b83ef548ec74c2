"""Rows that were made one by one, brought to one length: what a data collator asks of a tokenizer."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilbert.core.text.options import Padding
from distilbert.errors import DataError

#: The column whose lengths are the rows'.
_MAIN = "input_ids"


def pad_features(features: Any, *, pad: Padding, fillers: Mapping[str, int], masked: bool) -> dict[str, Any]:
    """Columns of padded rows.

    Args:
        features: one row's columns, a batch's, or a list of rows. Arrays are taken as lists.
        pad: to which length, and on which side.
        fillers: what padding holds, by column; other columns are left as they are.
        masked: add an ``attention_mask`` where there is none.

    Raises:
        DataError: no ``input_ids``, or rows of different columns.
    """
    columns = _columns(features)
    if _MAIN not in columns:
        raise DataError(
            f"Rows that are padded must have {_MAIN}.",
            received=", ".join(map(str, columns)) or "nothing",
            remedy="Give what the tokenizer returned.",
        )
    ids = _listed(columns[_MAIN])
    if not ids:
        return {**columns, _MAIN: [], **({"attention_mask": []} if masked else {})}
    single = not isinstance(ids[0], list)
    rows = {name: [column] if single else column for name, column in columns.items()}
    rows = {name: _listed(column) if name in fillers else column for name, column in rows.items()}
    if masked and "attention_mask" not in rows:
        rows["attention_mask"] = [[1] * len(row) for row in rows[_MAIN]]
    width = pad.width(max(len(row) for row in rows[_MAIN]))
    out: dict[str, Any] = {}
    for name, column in rows.items():
        out[name] = (
            [_padded(row, width, fillers[name], pad.side) for row in column] if name in fillers else column
        )
    return {name: column[0] for name, column in out.items()} if single else out


def _columns(features: Any) -> dict[str, Any]:
    if isinstance(features, Mapping):
        return dict(features)
    rows = list(features)
    if not rows:
        return {_MAIN: []}
    if not all(isinstance(row, Mapping) for row in rows) or any(row.keys() != rows[0].keys() for row in rows):
        raise DataError(
            "Rows that are padded together must be dictionaries of the same columns.",
            received=f"{type(rows[0]).__name__} objects" if not isinstance(rows[0], Mapping) else "others",
            remedy="Give what the tokenizer returned, unchanged.",
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _listed(value: Any) -> Any:
    """Arrays and tensors as lists, however deep they stand."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_listed(item) for item in value]
    return value


def _padded(row: Any, width: int | None, filler: int, side: str) -> list[Any]:
    missing = [filler] * ((width or 0) - len(row))
    return [*row, *missing] if side == "right" else [*missing, *row]
