"""Text as sequences on the disk: cut rightly, made once, whole or not there, and never wholly in memory."""

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distilbert import DistilBertTokenizerFast
from distilbert.core.data import caches, corpus, cutting
from distilbert.core.data.caches import cache_folder
from distilbert.core.data.corpus import Corpus, open_corpus
from distilbert.errors import ConfigError, DataError, OutputError

WORDS = ["the", "ball", "##s", "team", "goal", "soup", ".", ",", "x"]
VOCABULARY = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
CLS, SEP, UNK = 2, 3, 1
TEXTS = ["the ball, the team.", "goal " * 30, "", "unheard of", "balls balls soup x x x"]


@pytest.fixture
def tokenizer() -> DistilBertTokenizerFast:
    return DistilBertTokenizerFast(VOCABULARY)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the ball is not in the goal of the team\n" * 200)
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call of a tokenizer was given."""
    made: list[int] = []
    ids = DistilBertTokenizerFast._ids

    def counted(self: DistilBertTokenizerFast, texts: list[str]) -> list[list[int]]:
        made.append(len(texts))
        return ids(self, texts)

    monkeypatch.setattr(DistilBertTokenizerFast, "_ids", counted)
    return made


def cut_one_by_one(
    texts: Iterable[str], tokenizer: DistilBertTokenizerFast, *, max_length: int, min_length: int
) -> tuple[list[list[int]], int]:
    """The definition, in plain Python: the rows, and how many were left out."""
    rows, left_out = [], 0
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False, verbose=False)
        for start in range(0, len(ids), max_length - 2):
            row = [CLS, *ids[start : start + max_length - 2], SEP]
            if len(row) < min_length or row.count(UNK) / len(row) >= 0.5:
                left_out += 1
            else:
                rows.append(row)
    return rows, left_out


def rows_of(made: Corpus) -> list[list[int]]:
    return [row.tolist() for row in made]


texts_strategy = st.lists(
    st.lists(st.sampled_from([*WORDS, "balls", "unheard", "\n", "文"]), max_size=60).map(" ".join),
    max_size=12,
)


@given(
    texts_strategy,
    st.integers(3, 20),
    st.integers(3, 8),
    st.sampled_from([1, 7, 10**6]),
    st.sampled_from([1, 5, 24, 10**6]),
)
@example(["the ball " * 100], 5, 3, 10, 10)
@example(["goal" * 40 + " goal"], 5, 3, 10, 10)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_those_of_the_plain_definition(
    tmp_path: Path,
    texts: list[str],
    max_length: int,
    min_length: int,
    batch_characters: int,
    part_characters: int,
) -> None:
    tokenizer = DistilBertTokenizerFast(VOCABULARY)
    expected, left_out = cut_one_by_one(texts, tokenizer, max_length=max_length, min_length=min_length)
    lengths = {"max_length": max_length, "min_length": min_length}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BATCH_CHARACTERS", batch_characters)
        patch.setattr(cutting, "PART_CHARACTERS", part_characters)
        if not expected:
            with pytest.raises(DataError, match=f"Received: {len(texts)} texts, none of which gives one"):
                open_corpus(texts, tokenizer, cache=tmp_path, **lengths)
            return
        made = open_corpus(texts, tokenizer, cache=tmp_path, **lengths)
    assert rows_of(made) == expected
    assert made.lengths.tolist() == [len(row) for row in expected]
    assert made.facts() == {
        "texts": len(texts),
        "characters": sum(map(len, texts)),
        "sequences": len(expected),
        "tokens": sum(map(len, expected)),
        "left_out": left_out,
        "fingerprint": made.fingerprint,
    }
    counts = np.bincount(np.concatenate(expected), minlength=20)
    np.testing.assert_array_equal(made.counts(20), counts)
    shutil.rmtree(made.folder)


def test_a_part_that_ended_within_a_word_would_be_seen(
    tmp_path: Path, tokenizer: DistilBertTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong variant of the test above: texts taken apart anywhere."""
    monkeypatch.setattr(cutting, "PART_CHARACTERS", 10)
    lengths = {"max_length": 8, "min_length": 3}
    expected, _ = cut_one_by_one(["the balls " * 20], tokenizer, **lengths)
    monkeypatch.setattr(corpus, "ends_for", lambda tokenizer: "al")
    assert rows_of(open_corpus(["the balls " * 20], tokenizer, cache=tmp_path, **lengths)) != expected


def test_real_text_with_a_real_vocabulary(tmp_path: Path, minilm: Path) -> None:
    tokenizer = DistilBertTokenizerFast.from_pretrained(minilm)
    text = " ".join(f"word{i} and more of it" for i in range(100))
    made = open_corpus([text], tokenizer, max_length=32, min_length=3, cache=tmp_path)
    assert made.lengths.max() == 32
    assert all((row[0], row[-1]) == (101, 102) for row in made)
    assert [i for row in made for i in row[1:-1]] == tokenizer.encode(text)[1:-1]
    assert (made.folder / "ids.bin").stat().st_size == 2 * made.lengths.sum()
    texts = ["Too short.", "\u2603 \u2604 \u2605 " * 9, "This one is long enough to be read by a model."]
    kept = open_corpus(texts, tokenizer, max_length=64, min_length=8, cache=tmp_path)
    assert (len(kept), kept.facts()["left_out"]) == (1, 2)


def test_a_token_that_holds_a_space_is_not_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = DistilBertTokenizerFast(VOCABULARY)
    tokenizer.add_tokens(["ball team", "goal."])
    assert not set(" .") & set(cutting.ends_for(tokenizer))
    monkeypatch.setattr(cutting, "PART_CHARACTERS", 7)
    text = "the ball team, goal. the " * 9
    made = open_corpus([text], tokenizer, max_length=9, min_length=3, cache=tmp_path)
    assert rows_of(made) == cut_one_by_one([text], tokenizer, max_length=9, min_length=3)[0]


def test_ids_beyond_two_bytes(tmp_path: Path) -> None:
    tokenizer = DistilBertTokenizerFast({**VOCABULARY, "far": 70_000})
    made = open_corpus(["the far ball"], tokenizer, max_length=9, min_length=3, cache=tmp_path)
    assert made[0].tolist() == [CLS, VOCABULARY["the"], 70_000, VOCABULARY["ball"], SEP]
    assert made[0].dtype == np.int32
    with pytest.raises(DataError, match="Every token must be in the vocabulary. Received: token 70000"):
        made.counts(100)
    with pytest.raises(IndexError):
        made[1]


def test_files_are_tokenised_once(
    tmp_path: Path, text_file: Path, tokenizer: DistilBertTokenizerFast, calls: list[int]
) -> None:
    options = {"max_length": 16, "min_length": 4, "cache": tmp_path / "cache"}
    said: list[tuple[str, int, int | None]] = []

    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        said.append((stage, done, total))

    first = open_corpus(text_file, tokenizer, progress=progress, **options)
    assert sum(calls) == 200
    assert said[0] == ("tokenise the text", 0, 1)
    assert said[-1] == ("tokenise the text", 1, 1)
    for source in (text_file, str(text_file), [text_file], tmp_path / "." / "text.txt"):
        again = open_corpus(source, DistilBertTokenizerFast(VOCABULARY), **options)
        assert again.fingerprint == first.fingerprint
        assert rows_of(again) == rows_of(first)
    assert sum(calls) == 200
    assert os.listdir(tmp_path / "cache") == [first.fingerprint]


def test_whatever_decides_the_sequences_makes_others(
    tmp_path: Path, text_file: Path, tokenizer: DistilBertTokenizerFast, calls: list[int]
) -> None:
    options = {"max_length": 16, "min_length": 4, "cache": tmp_path / "cache"}
    found = {open_corpus(text_file, tokenizer, **options).fingerprint}
    cased = DistilBertTokenizerFast(VOCABULARY, do_lower_case=False)
    swapped = DistilBertTokenizerFast({**VOCABULARY, "ball": VOCABULARY["team"], "team": VOCABULARY["ball"]})
    for other, changes in (
        (cased, {}),
        (swapped, {}),
        (tokenizer, {"max_length": 15}),
        (tokenizer, {"min_length": 5}),
    ):
        found.add(open_corpus(text_file, other, **{**options, **changes}).fingerprint)
    os.utime(text_file, ns=(1, 1))
    found.add(open_corpus(text_file, tokenizer, **options).fingerprint)
    with text_file.open("a") as file:
        file.write("the ball and the team\n")
    os.utime(text_file, ns=(1, 1))
    found.add(open_corpus(text_file, tokenizer, **options).fingerprint)
    assert len(found) == 7
    assert sum(calls) == 6 * 200 + 201
    table = tmp_path / "table.jsonl"
    table.write_text(json.dumps({"text": "the ball the team", "title": "soup soup soup soup"}) + "\n")
    texts = [open_corpus(table, tokenizer, column=c, **options) for c in (None, "title")]
    assert texts[0].fingerprint != texts[1].fingerprint
    assert VOCABULARY["soup"] in texts[1][0]


def test_strings_are_known_by_what_they_say(tmp_path: Path, tokenizer: DistilBertTokenizerFast) -> None:
    options = {"max_length": 16, "min_length": 4, "cache": tmp_path}
    first = open_corpus(TEXTS, tokenizer, **options)
    again = open_corpus((text for text in TEXTS), tokenizer, **options)
    rows = open_corpus([{"text": text, "n": 1} for text in TEXTS if text], tokenizer, **options)
    assert again.fingerprint == first.fingerprint != rows.fingerprint  # a row without a text is none
    assert rows_of(first) == rows_of(again) == rows_of(rows)
    joined = open_corpus(["".join(TEXTS[:2]), *TEXTS[2:]], tokenizer, **options)
    assert joined.fingerprint != first.fingerprint
    assert sorted(os.listdir(tmp_path)) == sorted({first.fingerprint, rows.fingerprint, joined.fingerprint})


@pytest.mark.parametrize(
    "damage",
    [
        "ids cut",
        "ends cut",
        "ids gone",
        "facts gone",
        "facts torn",
        "facts of a list",
        "ends of zeros",
        "ids of zeros",
        "ids with one other",
        "sums gone",
        "sums torn",
        "old format",
    ],
)
def test_a_damaged_cache_is_made_again(
    damage: str, tmp_path: Path, text_file: Path, tokenizer: DistilBertTokenizerFast, calls: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    options = {"max_length": 16, "min_length": 4, "cache": tmp_path / "cache"}
    made = open_corpus(text_file, tokenizer, **options)
    expected, folder = rows_of(made), made.folder
    what, _, how = damage.partition(" ")
    path = folder / {"ids": "ids.bin", "ends": "ends.bin", "sums": "sums.json"}.get(what, "facts.json")
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif damage == "facts of a list":
        path.write_text("[]")
    elif how == "of zeros":
        path.write_bytes(bytes(len(content)))
    elif damage == "old format":
        path.write_bytes(content.replace(b'"format": 2', b'"format": 1'))
    elif how == "with one other":
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    else:
        path.write_bytes(content[:-3])
    with pytest.raises(DataError, match="must be whole"):
        Corpus(folder)
    with caplog.at_level(logging.WARNING):
        again = open_corpus(text_file, tokenizer, **options)
    assert rows_of(again) == expected
    assert "tokenised again: what is kept is damaged" in caplog.text
    assert sum(calls) == 400
    assert os.listdir(tmp_path / "cache") == [again.fingerprint]


def test_checksums_are_those_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a file was put together; of a large one some are looked at, the first and the last always."""
    monkeypatch.setattr(caches, "_BLOCK", 10)
    monkeypatch.setattr(caches, "_LOOKED_AT", 4)
    content = np.random.default_rng(0).integers(0, 2**16, 60).astype("<u2")
    with caches.Building(tmp_path, "one") as work:
        for part in (content[:1], content[1:3], content[:0], content[3:31], content[31:]):
            work.append("a.bin", part)
        work.append("b.bin", content[:0])
        folder = work.finish("made", {})
    sums = json.loads((folder / "sums.json").read_text())
    written = content.tobytes()
    assert sums == {"a.bin": [zlib.crc32(written[i : i + 10]) for i in range(0, 120, 10)], "b.bin": []}
    caches.verify(folder)
    seen = []
    for at in range(0, 120, 10):
        (folder / "a.bin").write_bytes(written[:at] + b"0" + written[at + 1 :])
        try:
            caches.verify(folder)
        except ValueError as error:
            assert "a.bin is not as it was written" in str(error)  # noqa: PT017  # which of them raise is asked
            seen.append(at // 10)
    assert seen == [0, 3, 7, 11]


def test_a_run_that_fails_leaves_nothing_of_it(tmp_path: Path, tokenizer: DistilBertTokenizerFast) -> None:
    def texts() -> Iterator[str]:
        yield from ["the ball the team"] * 30_000
        raise OSError(errno.EIO, "the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        open_corpus(texts(), tokenizer, max_length=16, min_length=4, cache=tmp_path)
    with pytest.raises(DataError, match="valid Unicode. Received: .* at row 20000"):
        wrong = [*["the ball the team"] * 20_000, "\ud800", "the ball"]
        open_corpus(wrong, tokenizer, max_length=16, min_length=4, cache=tmp_path)
    with pytest.raises(DataError, match="at least 12 known tokens. Received: 1 texts, none of which"):
        open_corpus(["the ball"], tokenizer, max_length=16, min_length=12, cache=tmp_path)
    with pytest.raises(ConfigError, match="room for"):
        open_corpus(["the ball"], tokenizer, max_length=2, min_length=2, cache=tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_with_the_way_out(
    tmp_path: Path,
    text_file: Path,
    tokenizer: DistilBertTokenizerFast,
    small_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    options = {"max_length": 16, "min_length": 4, "cache": tmp_path / "cache"}
    kept = open_corpus(text_file, tokenizer, **options)
    text_file.write_text("the ball is not in the goal of the team\n" * 20_000)
    with (
        small_disk(),
        pytest.raises(OutputError, match="with room for it. Received: .*cache. .*set DISTILBERT_CACHE"),
    ):
        open_corpus(text_file, tokenizer, **options)
    assert os.listdir(tmp_path / "cache") == [kept.fingerprint]
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="The cache of tokenised text must be writable"):
        open_corpus(text_file, tokenizer, **{**options, "cache": tmp_path / "taken"})
    assert (tmp_path / "taken").read_text() == "a file"


def test_what_killed_runs_left_goes_after_a_day(
    tmp_path: Path, text_file: Path, tokenizer: DistilBertTokenizerFast
) -> None:
    for name in ("old.partial-1", "new.partial-2", "half.partial-3", "other"):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "ids.bin").touch()
    before = time.time() - 25 * 3600
    for name in ("old.partial-1", "half.partial-3", "other"):
        if name != "half.partial-3":  # its folder is old, and a file in it has just been written to
            os.utime(tmp_path / "cache" / name / "ids.bin", (before, before))
        os.utime(tmp_path / "cache" / name, (before, before))
    made = open_corpus(text_file, tokenizer, max_length=16, min_length=4, cache=tmp_path / "cache")
    left = {"new.partial-2", "half.partial-3", "other", made.fingerprint}
    assert set(os.listdir(tmp_path / "cache")) == left


def test_of_two_runs_the_first_to_finish_is_kept(
    tmp_path: Path, text_file: Path, tokenizer: DistilBertTokenizerFast
) -> None:
    options = {"max_length": 16, "min_length": 4, "cache": tmp_path / "cache"}
    others: list[Corpus] = []

    def progress(*said: object) -> None:
        if not others:
            others.append(open_corpus(text_file, tokenizer, **options))

    mine = open_corpus(text_file, tokenizer, progress=progress, **options)
    assert mine.folder == others[0].folder
    assert os.listdir(tmp_path / "cache") == [mine.fingerprint]
    assert rows_of(mine) == rows_of(others[0])


def test_files_that_change_meanwhile_are_no_cache(
    tmp_path: Path, text_file: Path, tokenizer: DistilBertTokenizerFast
) -> None:
    def progress(*said: object) -> None:
        text_file.touch()

    with pytest.raises(DataError, match="must stay as they are while they are read. Received: a change in"):
        open_corpus(
            text_file, tokenizer, max_length=16, min_length=4, cache=tmp_path / "cache", progress=progress
        )
    assert os.listdir(tmp_path / "cache") == []


def test_a_closed_cache_is_done_without(
    tmp_path: Path,
    text_file: Path,
    tokenizer: DistilBertTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make = Path.mkdir

    def refuse(self: Path, *args: object, **options: object) -> None:
        if "closed" in self.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        make(self, *args, **options)

    monkeypatch.setattr(caches.Path, "mkdir", refuse)
    monkeypatch.setattr(caches.tempfile, "tempdir", str(tmp_path / "temporary"))
    make(tmp_path / "temporary")
    options = {"max_length": 16, "min_length": 4}
    made = open_corpus(text_file, tokenizer, cache=tmp_path / "closed", **options)
    assert made.folder.parent == tmp_path / "temporary"
    assert "closed may not be written" in caplog.text
    rows = rows_of(made)
    del made
    assert os.listdir(tmp_path / "temporary") == []
    # What was put there by somebody else is read.
    open_corpus(text_file, tokenizer, cache=tmp_path / "open", **options)
    (tmp_path / "open").rename(tmp_path / "closed")
    found = open_corpus(text_file, tokenizer, cache=tmp_path / "closed", **options)
    assert found.folder.parent == tmp_path / "closed"
    assert rows_of(found) == rows


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILBERT_CACHE", str(tmp_path / "ours"))
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == tmp_path / "ours" / "corpora"
    monkeypatch.delenv("DISTILBERT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
    assert cache_folder() == tmp_path / "theirs" / "distilbert" / "corpora"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "distilbert" / "corpora"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(caches.Path, "home", homeless)
    assert cache_folder() is None


def test_a_user_without_a_home_has_no_cache(
    text_file: Path, tokenizer: DistilBertTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "cache_folder", lambda cache: None)
    made = open_corpus(text_file, tokenizer, max_length=16, min_length=4)
    folder = made.folder
    assert (folder / "facts.json").exists()
    del made
    assert not folder.exists()


#: Peak memory, in MB, beyond what a first small corpus has left, of a source that is written in the test.
GAUGE = """
import ctypes, sys
from pathlib import Path
from distilbert import DistilBertTokenizerFast
from distilbert.core.data.corpus import open_corpus

def resident(which):
    return next(int(l.split()[1]) / 1000 for l in open("/proc/self/status") if l.startswith(which + ":"))

tokenizer = DistilBertTokenizerFast.from_pretrained({vocabulary!r})
options = dict(max_length=128, min_length=3, cache={cache!r})
open_corpus(["some words to begin with"] * 100, tokenizer, **options)
ctypes.CDLL(None).malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
{work}
print(resident("VmHWM") - before)
"""


def peak(work: str, tmp_path: Path, vocabulary: Path) -> float:
    code = GAUGE.format(vocabulary=str(vocabulary), cache=str(tmp_path / "cache"), work=textwrap.dedent(work))
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(said.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux")
def test_text_is_never_wholly_in_memory(tmp_path: Path, minilm: Path) -> None:
    line = "Nobody expects that a text of twenty million characters is in memory at any time. " * 10
    files = {lines: tmp_path / f"{lines}.txt" for lines in (6_000, 24_000)}
    for lines, path in files.items():
        path.write_text((line.strip() + "\n") * lines)
    assert files[24_000].stat().st_size > 19 * 10**6
    work = "made = open_corpus({path!r}, tokenizer, **options)"
    few, many = (peak(work.format(path=str(path)), tmp_path, minilm) for path in files.values())
    assert few < 60
    assert many < few + 10  # four times the text
    # The wrong variant: texts and rows in lists.
    work = "made = list(open_corpus(open({path!r}).readlines(), tokenizer, **options))"
    assert peak(work.format(path=str(files[24_000])), tmp_path, minilm) > few + 15


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux")
def test_a_line_of_ten_megabytes(tmp_path: Path, minilm: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text("Nobody writes lines of that length, and yet they are there. " * 170_000)
    assert path.stat().st_size > 10**7
    work = f"""
        made = open_corpus({str(path)!r}, tokenizer, **options)
        assert made.facts()["texts"] == 1 and made.facts()["left_out"] == 0
        assert made.facts()["tokens"] - 2 * len(made) == 13 * 170_000, made.facts()
        """
    assert peak(work, tmp_path, minilm) < 150
    # The wrong variant: the line as it is.
    whole = "from distilbert.core.data import cutting; cutting.PART_CHARACTERS = 10**9"
    shutil.rmtree(tmp_path / "cache")
    assert peak(whole + textwrap.dedent(work), tmp_path, minilm) > 300
