"""Texts and tables out of files, and one clear sentence for each that cannot be read."""

import gzip
import json
from pathlib import Path

import pytest

from distilbert import LabelledTexts
from distilbert.core.data.sources import read_rows, read_texts
from distilbert.core.tasks import SequenceClassification
from distilbert.errors import DataError

TEXTS = ["A first text.", 'One with "quotes", commas\nand a line break.', "Ünïcödé — 文字 🙂."]
LABELS = ["a", "b", "a"]


def write(path: Path) -> Path:
    """The three texts with their labels, in the format of the file's ending."""
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if kind == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    elif kind == "txt":
        text = "\n\n".join(t.replace("\n", " ") for t in TEXTS)
    else:
        separator = {"csv": ",", "tsv": "\t"}[kind]
        fields = [["text", "label"], *([row["text"], row["label"]] for row in rows)]
        quoted = [['"' + f.replace('"', '""') + '"' for f in line] for line in fields]
        text = "".join(separator.join(line) + "\r\n" for line in quoted)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.jsonl.gz", "A.CSV"]
)
def test_a_table_of_every_kind(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name.lower()).rename(tmp_path / name)
    assert list(read_texts(path)) == TEXTS
    assert LabelledTexts.read(path) == LabelledTexts(TEXTS, LABELS)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_text_a_line(tmp_path: Path, name: str) -> None:
    assert list(read_texts(write(tmp_path / name))) == [text.replace("\n", " ") for text in TEXTS]


def test_rows_know_their_line(tmp_path: Path) -> None:
    assert [number for number, _ in read_rows(write(tmp_path / "a.csv"))] == [2, 3, 5]
    assert [number for number, _ in read_rows(write(tmp_path / "a.jsonl"))] == [1, 2, 3]


def test_the_mark_of_spreadsheets_is_not_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\r\nhello,x\r\n")
    assert LabelledTexts.read(path).texts == ["hello"]


def test_columns_by_synonym_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review,category,note\ngood,x,1\n")
    assert LabelledTexts.read(path) == LabelledTexts(["good"], ["x"])
    assert LabelledTexts.read(path, text="note", label="review") == LabelledTexts(["1"], ["good"])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.csv", None, "must exist. Received: .*none.csv, which does not"),
        ("folder.csv", "folder", "which is a folder"),
        ("a.docx", b"x", "must end in .txt, .csv"),
        ("a.txt", b"", "at least one text"),
        ("a.txt", b"\n \n", "at least one text"),
        ("a.csv", b"", "at least one text"),
        ("a.csv", b"text,label\n", "at least one text"),
        (
            "a.csv",
            b"words,label\nx,y\n",
            "named text or sentence .*Received: columns words, label .*--text-column",
        ),
        ("a.csv", b"text,sentiment\nx,y\n", "named label or .*columns text, sentiment .*--label-column"),
        ("a.csv", b"text,label\nx,y\nz\n", "another number at line 3"),
        ("a.csv", b'text,label\n"x,y\n', "well-formed.*line"),
        ("a.csv", b"text,label\nx,y\n,z\n", "'' as text at line 3"),
        ("a.csv", b"text,label\nx,y\nz, \n", "' ' as label at line 3"),
        ("a.csv", b"text,label\nx,y\ncaf\xe9,z\n", r"UTF-8. Received: 0xe9 at line 3, byte 19"),
        ("a.txt", b"one\ntwo\nthr\xffee\n", "0xff at line 3, byte 12"),
        ("a.jsonl", b'{"text": "x", "label": "y"}\n{"text": \n', "one JSON object.*line 2"),
        ("a.txt", b"\xef\xbb\xbfone\n\xff\n", "0xff at line 2, byte 8"),
        ("a.csv", b"text,label,text\nx,y,z\n", "text more than once in"),
        ("a.jsonl", b'{"text": "x", "label": NaN}\n', "nan as label at line 1"),
        ("a.jsonl", b'{"text": "x", "label": "\\ud800"}\n', "as label at line 1"),
        ("a.jsonl", b'{"text": ["x"], "label": 1}\n', "as text at line 1"),
        ("a" * 300 + ".csv", None, "must exist"),
        ("a.txt.gz", gzip.compress(b"some text\n" * 99, mtime=0)[:20] + b"\xff" * 30, "readable and whole"),
        ("a.jsonl", b"[1]\n", "one JSON object.*line 1"),
        ("a.jsonl", b"[" * 99999 + b"\n", "one JSON object.*line 1"),
        ("a.parquet", b"PAR1 nothing PAR1", "must be whole"),
        ("a.csv.gz", b"not gzip", "readable and whole"),
        ("a.csv.gz", gzip.compress(b"text,label\n" + b"x,y\n" * 5000, mtime=0)[:60], "readable and whole"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, content: object, sentence: str) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){sentence}"):
        list(read_texts(path)) if ".txt" in name else LabelledTexts.read(path)


def test_a_text_file_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a .csv"):
        LabelledTexts.read(write(tmp_path / "a.txt"))


def test_a_field_longer_than_the_modules_own_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "word " * 50_000 + ",x\n")
    assert len(LabelledTexts.read(path).texts[0]) > 200_000


@pytest.mark.parametrize("column", ["text", "label"])
def test_a_parquet_file_of_bytes_or_of_wrong_bytes(column: str, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    fine, bytes_ = pyarrow.array(["x", "y"]), pyarrow.array([b"soup", b"\xff"])
    columns = {"text": fine, "label": fine, column: bytes_}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(DataError, match=f"b'soup' as {column} at line 1"):
        LabelledTexts.read(path)
    wrong = pyarrow.Array.from_buffers(pyarrow.string(), 2, bytes_.buffers())
    pyarrow.parquet.write_table(pyarrow.table({**columns, column: wrong}), path)
    with pytest.raises(DataError, match="texts UTF-8"):
        LabelledTexts.read(path)


def test_a_row_without_a_text_is_left_out_of_a_corpus_and_refused_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": null}\n{"text": "three"}\n')
    assert list(read_texts(path)) == ["one", "three"]
    with pytest.raises(DataError, match="None as text at line 2"):
        list(read_texts(path, every_row=True))


def test_labels_have_one_order() -> None:
    """Numbers by size and then as they are written; other names by name."""
    assert SequenceClassification.of_labels(["10", "1", "-2", "01", "001"]).labels == (
        "-2",
        "001",
        "01",
        "1",
        "10",
    )
    assert SequenceClassification.of_labels(["--1", "2"]).labels == ("--1", "2")
