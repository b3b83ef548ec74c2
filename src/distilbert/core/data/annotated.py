"""Files of annotated text that are no tables: CoNLL's columns of words and tags, and SQuAD's articles."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from distilbert.core.data.lines import COMPRESSIONS, numbered_lines
from distilbert.core.data.sources import Row
from distilbert.errors import DataError

#: Endings of files that hold a word a line, its tag last, and an empty line between sentences.
_COLUMNS = (".conll", ".bio", ".iob", ".iob2", ".bioes")

#: Stands where a document begins, and is no word.
_DOCUMENT = "-DOCSTART-"


def read_annotated(path: Path) -> Iterator[tuple[int, Row]] | None:
    """The sentences of a CoNLL file, or the questions of a SQuAD file, as numbered rows.

    Returns:
        None where the file's ending is of neither, or there is no such file.

    Raises:
        DataError: the file is damaged, or is not what its ending says.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if not path.is_file() or kind not in (*_COLUMNS, ".json"):
        return None
    return _questions(path) if kind == ".json" else _sentences(path)


def _sentences(path: Path) -> Iterator[tuple[int, Row]]:
    words: list[str] = []
    tags: list[str] = []
    first = width = 0
    empty = True
    for number, line in numbered_lines(path):
        fields = line.split()
        if fields[:1] == [_DOCUMENT]:
            continue
        if line.startswith("#") and fields and len(fields) != (width or 2):
            continue  # a comment
        if fields:
            if len(fields) < 2 or (width and len(fields) != width):
                raise DataError(
                    f"Every line of a {path.suffix} file must be a word, its tag, and what stands between.",
                    received=f"{line.strip()!r:.60} at line {number} of {path}",
                    remedy="Put as many columns into each line, and an empty line between sentences.",
                )
            first, width = first if words else number, len(fields)
            words.append(fields[0])
            tags.append(fields[-1])
        elif words:
            empty = False
            yield first, {"tokens": words, "tags": tags}
            words, tags = [], []
    if words:
        yield first, {"tokens": words, "tags": tags}
    elif empty:
        raise _nothing_in(path)


def _questions(path: Path) -> Iterator[tuple[int, Row]]:
    content: Any = None
    with suppress(ValueError, RecursionError):
        content = json.loads("".join(line for _, line in numbered_lines(path)))
    number = 0
    try:
        for article in content["data"]:
            for paragraph in article.get("paragraphs", [article]):
                for asked in paragraph.get("qas", [paragraph]):
                    number += 1
                    answers = [] if asked.get("is_impossible") else asked.get("answers")
                    context = paragraph["context"]
                    yield number, {"question": asked["question"], "context": context, "answers": answers}
    except (TypeError, KeyError, AttributeError, IndexError):
        raise DataError(
            "A .json file must be one of SQuAD's: data, with paragraphs, with a context and qas.",
            received=f"{path}" + (f", which is none from question {number + 1} on" if number else ""),
            remedy="Write a table with the columns question, context and answers, such as .jsonl.",
        ) from None
    if not number:
        raise _nothing_in(path)


def _nothing_in(path: Path) -> DataError:
    return DataError(
        "A data file must hold at least one text.",
        received=f"{path}, which holds none",
        remedy="Check that it is the file you meant.",
    )
