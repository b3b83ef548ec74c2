"""A table's answers in a file: a table of any size, in constant memory, by a run that may be killed.

Answers are kept as they come in a file beside the one that is to be, which begins with what they are answers
to. A run that finds such a file goes on behind its last whole line; at the end it becomes what was asked for.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from distilbert.core.data.sources import Numbered, known_kind, read_rows, read_texts
from distilbert.core.files import replacing, unwritable
from distilbert.core.locks import locked
from distilbert.core.progress import Progress, silent
from distilbert.engine.engine import Engine, Refused
from distilbert.errors import MissingExtraError, OutputError

#: What can be written, by the name's ending.
OUT_KINDS = (".jsonl", ".csv", ".parquet")

#: Lines of the kept file that are read at a time.
_LINES = 1024


@dataclass(frozen=True)
class AnsweredFile:
    """What was written.

    Attributes:
        rows: of the table.
        refused: of these, such as could not be read; they have an ``error`` in their place.
        resumed: of these, such as an earlier run had answered.
    """

    rows: int
    refused: int
    resumed: int


def answer_file(
    engine: Engine,
    table: str | Path,
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    abstain_below: float | None = None,
    progress: Progress = silent,
) -> AnsweredFile:
    """An answer for each row of a table, in its order, with what was asked.

    Args:
        engine: answers.
        table: a .txt (a text a line), .jsonl, .csv, .tsv (also packed) or .parquet file.
        out: a .jsonl, .csv or .parquet file, which is replaced when all is answered.
        columns: names of the table's columns by the task's own names of them.
        abstain_below: an answer that is less likely is "unsure".
        progress: told of the rows that are answered.

    Raises:
        ConfigError: ``abstain_below`` for a task whose answers have no probability of their own.
        DataError: there is no such table, or nothing in it that the task reads.
        MissingExtraError: Parquet needs a package.
        OutputError: ``out`` is the table or cannot be written, or another run's answers are kept for it.
    """
    table, out = Path(table), Path(out)
    kind = out_kind(out)
    if out.resolve() == table.resolve():
        raise OutputError(
            "Answers do not take the place of the table that they answer.",
            received=f"{out} for both",
            remedy="Choose another file for the answers.",
        )
    columns = dict(columns or {})
    asked = _asked(engine, table, columns, abstain_below)
    with _kept(out, asked) as (file, resumed):
        done, refused = resumed, 0
        progress("answer", done, None, {})
        rows = islice(_rows(table, columns), resumed, None)
        for inputs, answer in engine.numbered(
            rows, source=str(table), columns=columns, abstain_below=abstain_below
        ):
            _write(file, {**inputs, **answer.as_dict()})
            done += 1
            refused += isinstance(answer, Refused)
            if done % _LINES == 0:
                file.flush()
                progress("answer", done, None, {"padding": engine.tally.padding})
        file.flush()
        with replacing(out) as partial:
            _WRITERS[kind](Path(file.name), partial)
        Path(file.name).unlink()
    progress("answer", done, done, {"padding": engine.tally.padding})
    return AnsweredFile(done, refused, resumed)


def out_kind(path: Path) -> str:
    """What a file of answers is to be.

    Raises:
        OutputError: its name does not say it, or it is a folder.
    """
    if path.suffix in OUT_KINDS and not path.is_dir():
        return path.suffix
    raise OutputError(
        f"A file of answers is named .{', .'.join(kind[1:] for kind in OUT_KINDS)}.",
        received=f"{'the folder ' if path.is_dir() else ''}{path}",
        remedy="Choose one of these endings.",
    )


def _rows(table: Path, columns: Mapping[str, str]) -> Iterator[Numbered]:
    if known_kind(table) == ".txt":
        return enumerate(({"text": text} for text in read_texts(table)), start=1)
    return read_rows(table, broken=True)


def _asked(
    engine: Engine, table: Path, columns: Mapping[str, str], abstain_below: float | None
) -> dict[str, Any]:
    """What a run's answers are answers to; those of another run are not gone on from."""
    opened = engine.opened
    files = [path for path in (table, *sorted(opened.weights.iterdir())) if path.is_file()]
    return {
        "files": [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in files],
        "columns": dict(columns),
        "abstain_below": abstain_below,
        "on_long": engine.on_long,
        "max_length": opened.max_length,
        "calibration": asdict(opened.calibration),
        "precision": engine.precision,
    }


@contextmanager
def _kept(out: Path, asked: dict[str, Any]) -> Iterator[tuple[BinaryIO, int]]:
    """The file of answers kept so far, open behind its last whole line, and how many it has."""
    path = out.with_name(f".{out.name}.answers")
    try:
        file = path.open("a+b")
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        if not locked(file.fileno()):
            raise OutputError(
                "One run at a time answers into a file.",
                received=f"another one at {out}",
                remedy="Wait for it, or choose another place.",
            )
        file.seek(0)
        head, whole, count = file.readline(), 0, 0
        if head.endswith(b"\n"):
            if head != _line(asked):
                raise OutputError(
                    "A run goes on with answers to the same table, of the same model and settings.",
                    received=f"those to others, in {path}",
                    remedy="Give what the earlier run was given, or remove that file to begin anew.",
                )
            whole = len(head)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole, count = whole + len(line), count + 1
        file.truncate(whole)
        if not whole:
            _write(file, asked)
        try:
            yield file, count
        finally:
            file.flush()
            if path.exists() and path.stat().st_size == len(_line(asked)):
                path.unlink()  # nothing is in it to go on from


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _write(file: BinaryIO, content: Mapping[str, Any]) -> None:
    try:
        file.write(_line(content))
    except OSError as error:
        raise unwritable(Path(file.name), error) from error


def _answers(kept: Path) -> Iterator[list[dict[str, Any]]]:
    """The kept answers, some at a time."""
    with kept.open("rb") as file:
        file.readline()
        lines = iter(lambda: list(islice(file, _LINES)), [])
        yield from ([json.loads(line) for line in lot] for lot in lines)


def _write_jsonl(kept: Path, out: Path) -> None:
    with kept.open("rb") as source, out.open("wb") as file:
        source.readline()
        file.writelines(source)


def _write_csv(kept: Path, out: Path) -> None:
    """What is no text or number as JSON."""
    names = dict.fromkeys(name for lot in _answers(kept) for row in lot for name in row)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        for lot in _answers(kept):
            writer.writerows({name: _field(value) for name, value in row.items()} for row in lot)


def _field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _write_parquet(kept: Path, out: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError.of("train", wanted="Writing Parquet", missing="pyarrow") from None
    schema = pyarrow.schema([])
    for lot in _answers(kept):
        found = pyarrow.Table.from_pylist(lot, pyarrow.schema(_fields(lot, pyarrow)))
        schema = pyarrow.unify_schemas([schema, found.schema], promote_options="permissive")
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for lot in _answers(kept):
            writer.write_table(pyarrow.Table.from_pylist(lot, schema))


def _fields(rows: list[dict[str, Any]], pyarrow: Any) -> list[Any]:
    """The columns of all these rows, as the first of them that has one shows."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [
        pyarrow.field(name, pyarrow.array([row[name] for row in rows if name in row]).type) for name in names
    ]


_WRITERS = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
