"""The tiny language's examples of every task, as rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from small_files import FILLERS, SUBJECTS, sentences

Rows = list[dict[str, Any]]


def pairs(count: int, *, seed: int = 0) -> Rows:
    """The label is the second text's subject, which the first one does not tell."""
    firsts, _ = sentences(count, seed=seed, words=6)
    seconds, labels = sentences(count, seed=seed + 1000, words=6)
    return [
        {"text_a": a, "text_b": b, "label": label}
        for a, b, label in zip(firsts, seconds, labels, strict=True)
    ]


def scored(count: int, *, seed: int = 0) -> Rows:
    """The score follows from the subject of the first text."""
    value = {"food": 0.5, "music": 2.0, "sport": 4.5}
    texts, labels = sentences(count, seed=seed, words=8)
    others, _ = sentences(count, seed=seed + 1000, words=6)
    return [
        {"text_a": text, "text_b": other, "score": value[label]}
        for text, other, label in zip(texts, others, labels, strict=True)
    ]


def several(count: int, *, seed: int = 0) -> Rows:
    """The labels are the subjects that a text has words of: none, one, two or all."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        labels = [name for name in SUBJECTS if rng.random() < 0.5]
        words = [str(word) for name in labels for word in rng.choice(SUBJECTS[name], 4)]
        words += [str(word) for word in rng.choice(FILLERS, 4)]
        rows.append({"text": " ".join(rng.permutation(words)), "labels": labels})
    return rows


def choices(count: int, *, seed: int = 0) -> Rows:
    """Of two to four options one is about food."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        options = [str(rng.choice(["music", "sport"])) for _ in range(int(rng.integers(1, 4)))]
        answer = int(rng.integers(0, len(options) + 1))
        options.insert(answer, "food")
        texts = [" ".join(map(str, rng.choice(SUBJECTS[name], 3))) for name in options]
        rows.append(
            {"question": " ".join(map(str, rng.choice(FILLERS, 3))), "choices": texts, "answer": answer}
        )
    return rows


def tagged(count: int, *, seed: int = 0) -> Rows:
    """Runs of one to three words of a subject are entities, fillers between them are none."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        tokens: list[str] = []
        tags: list[str] = []
        for _ in range(int(rng.integers(1, 4))):
            fillers = [str(word) for word in rng.choice(FILLERS, int(rng.integers(1, 4)))]
            name = str(rng.choice(list(SUBJECTS)))
            run = [str(word) for word in rng.choice(SUBJECTS[name], int(rng.integers(1, 4)))]
            tokens += fillers + run
            tags += ["O"] * len(fillers) + [f"B-{name}"] + [f"I-{name}"] * (len(run) - 1)
        rows.append({"tokens": tokens, "tags": tags})
    return rows


def asked(count: int, *, seed: int = 0) -> Rows:
    """What is about food answers the question; in one context of five nothing is. Some are long."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        before, after = (
            [str(word) for word in rng.choice([*FILLERS, *SUBJECTS["sport"]], int(rng.integers(3, 25)))]
            for _ in range(2)
        )
        answer = [str(word) for word in rng.choice(SUBJECTS["food"], int(rng.integers(1, 3)))]
        answer = answer if rng.random() > 0.2 else []
        context = " ".join([*before, *answer, *after])
        start = len(" ".join(before)) + 1
        answers = [{"text": " ".join(answer), "answer_start": start}] if answer else []
        rows.append({"question": "is it that", "context": context, "answers": answers})
    return rows


def together(count: int, *, seed: int = 0) -> Rows:
    """Two texts about one subject, and one about another."""
    rng = np.random.default_rng(seed)

    def about(name: str) -> str:
        return " ".join(map(str, [*rng.choice(SUBJECTS[name], 4), *rng.choice(FILLERS, 3)]))

    rows = []
    for _ in range(count):
        one, other = (str(name) for name in rng.permutation(list(SUBJECTS))[:2])
        rows.append({"anchor": about(one), "positive": about(one), "negative": about(other)})
    return rows


def alike(count: int, *, seed: int = 0) -> Rows:
    """Two texts, and how alike they are: 5 where both are about one subject, else 0 to 1."""
    rows: Rows = []
    for i, row in enumerate(together(count, seed=seed)):
        same = i % 2 == 0
        other = row["positive" if same else "negative"]
        rows.append({"text_a": row["anchor"], "text_b": other, "score": 5.0 if same else float(i % 3) / 2})
    return rows


#: What makes the rows of each, by the name of their file.
KINDS: dict[str, Callable[..., Rows]] = {
    "pairs": pairs,
    "scored": scored,
    "several": several,
    "choices": choices,
    "tagged": tagged,
    "asked": asked,
    "together": together,
    "alike": alike,
}


def write_rows(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
