"""Whatever somebody has texts in: files, folders, strings, rows; nothing is read before it is asked for."""

import bz2
import gzip
import json
import logging
import lzma
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from distilbert.core.data import lines
from distilbert.core.data.lines import Meter, numbered_lines
from distilbert.core.data.sources import data_files, read_texts
from distilbert.core.data.texts import TextFiles, texts_of
from distilbert.errors import DataError, MissingExtraError

TEXTS = ["A first text.", "Ünïcödé — 文字 🙂.", "A third."]
LINES = "\n".join(TEXTS).encode() + b"\n"


def zst(content: bytes) -> bytes:
    return pyarrow.compress(content, codec="zstd", asbytes=True)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zst,
}


@pytest.mark.parametrize("ending", PACKED)
def test_every_compression(ending: str, tmp_path: Path) -> None:
    contents = {
        "a.txt": LINES,
        "a.jsonl": b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS),
        "a.csv": b"text,n\n" + b"".join(f'"{text}",1\n'.encode() for text in TEXTS),
        "a.tsv": b"n\ttext\n" + b"".join(f"1\t{text}\n".encode() for text in TEXTS),
    }
    for name, content in contents.items():
        path = tmp_path / (name + ending)
        path.write_bytes(PACKED[ending](content))
        assert list(read_texts(path)) == TEXTS, name
    twice = tmp_path / ("twice.txt" + ending)
    twice.write_bytes(PACKED[ending](LINES) + PACKED[ending](LINES))
    assert list(read_texts(twice)) == TEXTS * 2


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("damage", ["another's", "cut", "torn"])
def test_what_does_not_unpack(damage: str, ending: str, tmp_path: Path) -> None:
    if (damage, ending) == ("torn", ".zst"):
        pytest.skip("what pyarrow packs as .zst has no checksum")
    content = PACKED[ending](os.urandom(50_000).hex().encode() + b"\n")
    if damage == "another's":
        content = b"this was never packed"
    elif damage == "cut":
        content = content[: len(content) // 2]
    else:
        content = content[:1000] + bytes(1000) + content[2000:]
    path = tmp_path / ("a.txt" + ending)
    path.write_bytes(content)
    with pytest.raises(DataError, match="must be readable and whole. Received: .*a.txt"):
        list(read_texts(path))


def test_a_parquet_file_is_packed_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    path.touch()
    with pytest.raises(DataError, match="may follow the text kinds"):
        list(read_texts(path))


def test_zst_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("the standard library of this Python unpacks .zst")
    path = tmp_path / "a.txt.zst"
    path.write_bytes(zst(LINES))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'distilbert\[train\]'"):
        list(read_texts(path))


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 1000)
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 999 + b"\n" + b"y" * 1000)
    assert [len(line) for _, line in numbered_lines(path)] == [1000, 1000]
    path.write_bytes(b"x\n" + b"y" * 1001)
    with pytest.raises(DataError, match="at most 1000 bytes. Received: a longer one at line 2"):
        list(read_texts(path))


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux")
def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    part = gzip.compress(bytes(2**24))
    with path.open("wb") as file:
        for _ in range(128):  # 2 GiB in one line
            file.write(part)
    code = (
        "import sys; from distilbert.core.data.sources import read_texts\n"
        "from distilbert.errors import DataError\n"
        "try: list(read_texts(sys.argv[1]))\n"
        "except DataError as error: print(error)\n"
        "print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM:')))"
    )
    said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    refused, peak = said.stdout.splitlines()
    assert "A line must be at most 268435456 bytes" in refused
    assert int(peak) < 700_000  # kB: the line as it was read, put together


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of many kinds, some below, some hidden."""
    root = tmp_path / "texts"
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "b.txt").write_text("two\n")
    (root / "a.jsonl").write_text('{"text": "one"}\n')
    (root / "deep" / "deeper" / "c.csv.gz").write_bytes(gzip.compress(b"text\nthree\n"))
    (root / "z.txt.xz").write_bytes(lzma.compress(b"four\n"))
    for name in (".d.txt", ".hidden/e.txt"):
        (root / name).write_text("hidden\n")
    for name in ("README.md", "deep/picture.png"):
        (root / name).write_text("no data\n")
    return root


def test_a_folder_is_all_its_data_files_by_name(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list(read_texts(folder)) == ["one", "two", "three", "four"]
    assert "left out of" in caplog.text
    assert "README.md, deep/picture.png" in caplog.text
    several = [folder / "z.txt.xz", folder / "deep", folder / "b.txt"]
    assert list(read_texts(several)) == ["four", "three", "two"]


def test_links_in_a_folder_are_followed_and_circles_left(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f.txt").write_text("five\n")
    (folder / "zz").symlink_to(tmp_path / "elsewhere")
    (folder / "deep" / "circle").symlink_to(folder)
    assert list(read_texts(folder)) == ["one", "two", "three", "four", "five"]


def test_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold files that end in .txt.* holds no files"):
        data_files(tmp_path)
    for i in range(10):
        (tmp_path / f"{i}.docx").touch()
    with pytest.raises(DataError, match=r"which holds 0.docx, 1.docx, .* and 2 more\. "):
        data_files(tmp_path)
    with pytest.raises(DataError, match="There must be a data file. Received: none"):
        data_files([])


def test_an_empty_file_among_others_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").write_text("one\n")
    with caplog.at_level(logging.WARNING):
        assert list(read_texts(tmp_path)) == ["one"]
    assert "a.txt holds no text" in caplog.text
    (tmp_path / "b.txt").write_text("\n")
    with pytest.raises(DataError, match="at least one text. Received: 2 files without any"):
        list(read_texts(tmp_path))


def test_a_closed_folder_is_not_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def closed(path: object) -> object:
        if str(path).endswith("deeper"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(DataError, match="must be readable. Received: Permission denied for .*deeper"):
        data_files(folder)


def test_of_parquet_only_the_texts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"picture": [b"x" * 1000] * 3, "text": TEXTS, "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, path)
    read = []
    batches = pyarrow.parquet.ParquetFile.iter_batches

    def spied(self: object, *args: object, **options: object) -> object:
        for batch in batches(self, *args, **options):
            read.append(batch.schema.names)
            yield batch

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", spied)
    assert list(read_texts(path)) == TEXTS
    assert read == [["text"]]
    with pytest.raises(DataError, match="columns picture, text, n in"):
        list(read_texts(path, column="title"))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.parquet"])
def test_it_is_known_how_far_the_reading_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    texts = [os.urandom(500).hex() for _ in range(2000)]
    if name.endswith("parquet"):
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path)
    else:
        content = "\n".join(texts).encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    files = TextFiles([path, path])
    assert (files.done, files.size) == (0, 2 * path.stat().st_size)
    for _ in range(2):
        marks = [files.done for _ in files]
        assert marks == sorted(marks)
        assert marks[1999] < 0.52 * files.size < marks[3000] < 0.85 * files.size
        assert files.done == files.size
    assert Meter().done == 0


def test_files_are_read_as_often_as_they_are_asked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(LINES)
    for source in (tmp_path, str(tmp_path), tmp_path / "a.txt", [tmp_path / "a.txt"], tmp_path.glob("*.txt")):
        found = texts_of(source)
        assert isinstance(found, TextFiles)
        assert list(found) == list(found) == TEXTS
        assert texts_of(found) is found
    (tmp_path / "b.jsonl").write_text('{"title": "x", "text": "y"}\n')
    assert list(texts_of(tmp_path / "b.jsonl", column="title")) == ["x"]
    gone = TextFiles(tmp_path)
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(DataError, match="must stay where they are"):
        gone.state()


class Rows:
    """What matters here of a ``datasets.Dataset``."""

    def __init__(self, columns: dict[str, list[object]]) -> None:
        self.columns_ = columns
        self.column_names = list(columns)

    def select_columns(self, names: list[str]) -> "Rows":
        return Rows({name: self.columns_[name] for name in names})

    def __len__(self) -> int:
        return len(next(iter(self.columns_.values())))

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for i in range(len(self)):
            yield {name: self._decoded(name, values[i]) for name, values in self.columns_.items()}

    @staticmethod
    def _decoded(name: str, value: object) -> object:
        assert name != "image", "an image is decoded for nothing"
        return value


def test_rows_of_a_data_set(tmp_path: Path) -> None:
    rows = Rows({"image": [1, 2, 3, 4], "text": [*TEXTS, None], "title": ["a", "b", "c", "d"]})
    assert list(texts_of(rows)) == TEXTS
    assert list(texts_of(rows, column="title")) == ["a", "b", "c", "d"]
    with pytest.raises(DataError, match="columns image, text, title in Rows"):
        texts_of(rows, column="body")
    assert list(texts_of({"content": text} for text in TEXTS)) == TEXTS
    with pytest.raises(DataError, match="columns body in generator"):
        list(texts_of({"body": text} for text in TEXTS))


def test_strings_are_taken_one_by_one() -> None:
    taken = []

    def strings() -> Iterator[str]:
        for text in TEXTS:
            taken.append(text)
            yield text

    found = iter(texts_of(strings()))
    assert next(found) == TEXTS[0]
    assert len(taken) == 1
    assert list(texts_of(TEXTS)) == list(texts_of(tuple(TEXTS))) == TEXTS
    assert list(texts_of([])) == []


class DataFrame:
    """What matters here of one of pandas."""

    def itertuples(self) -> Iterator[tuple[str]]:
        return iter([])

    def __iter__(self) -> Iterator[str]:
        return iter(["text", "label"])


def test_what_holds_no_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(LINES)
    monkeypatch.chdir(tmp_path)
    for source, sentence in (
        (5, "must be files, strings or rows. Received: int"),
        ({"train": ["x"], "test": ["y"]}, "Received: dict of train, test. Give one of its parts"),
        (DataFrame(), r'Received: DataFrame. Give its column of texts, such as frame\["text"\]'),
        (b"bytes", "A text must be a string. Received: 98 as text 1"),
        ([b"bytes"], "A text must be a string. Received: b'bytes' as text 1"),
        (["x", None], "Received: None as text 2"),
        ([None], "Received: None as text 1"),
        ([{"text": "x"}, "y"], "must be mappings where the first is one. Received: 'y' as row 2"),
        (
            ["a.txt"],
            r"Strings in a list are texts. Received: 'a.txt', the name of a file. Give Path\('a.txt'",
        ),
        (tmp_path / "none", "must exist"),
        ("some text", "must exist. Received: some text, which does not"),
    ):
        with pytest.raises(DataError, match=sentence):
            list(texts_of(source))
    assert list(texts_of(["b.txt"])) == ["b.txt"]  # no such file: a text
