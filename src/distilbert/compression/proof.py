"""What a compressed folder is worth, written into it, and whether that holds on the machine at hand.

``proof.json`` has the target, the fingerprints of files and data, the machine, versions, seeds, every figure
with its interval, and the command. ``proof.jsonl`` has the rows that decided, each with what is true, what
the teacher says and what the folder answers.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.compression.hearing import Said
from distilbert.compression.judging import ask_alone, qualities, told_of
from distilbert.compression.measuring import Figure, by_length, counted_files, measure, text_columns
from distilbert.compression.target import KINDS, Target, shown
from distilbert.core.files import read_json, write_atomically
from distilbert.core.machine import describe_machine, usable_cores
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.regression import Regression
from distilbert.engine.engine import Engine
from distilbert.errors import CheckpointError, DistilBertError

PROOF_FILE, ROWS_FILE = "proof.json", "proof.jsonl"

#: Of the files' layout.
_FORMAT = 1

#: Packages whose versions decide what is answered, and how fast.
PACKAGES = ("distilbert", "onnxruntime", "openvino", "nncf", "tokenizers", "numpy", "torch")

#: Numbers of a regression that are the same but for the last digits of their arithmetic.
_ALIKE = 1e-5


@dataclass(frozen=True)
class Check:
    """One thing that was held against the proof: what, what was proven, what is found, whether that holds."""

    what: str
    proven: str
    found: str
    holds: bool


def prove(
    folder: Path, examples: Examples, said: Said, *, seed: int, seconds: float, progress: Progress = silent
) -> tuple[dict[str, Figure], list[dict[str, float]], list[dict[str, Any]]]:
    """A folder's figures on rows that had no part in making it, its times by length, and the rows with their
    answers.
    """
    with Engine.load(folder, streams=1, threads=usable_cores()) as engine:
        task, answers = engine.task, ask_alone(engine.answers, examples)
        told, times = told_of(task, answers), by_length(engine.answers, examples)
    found = qualities(task, examples, told, said, seed=seed, progress=progress)
    found |= measure(folder, examples, seconds=seconds)
    return found, times, _lines(task, examples, said, answers)


def write_proof(folder: Path, facts: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Write both files; what is fingerprinted must be complete."""
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    write_atomically(folder / ROWS_FILE, content)
    proof = {
        "format": _FORMAT,
        **facts,
        "machine": describe_machine(PACKAGES),
        "files": {name: _sum(folder / name) for name in _names(folder)},
        "rows": {"file": ROWS_FILE, "count": len(rows), "sha256": hashlib.sha256(content).hexdigest()},
    }
    write_atomically(
        folder / PROOF_FILE, (json.dumps(proof, indent=2, ensure_ascii=False, default=str) + "\n").encode()
    )


def verify(folder: str | Path, *, seconds: float = 5.0, progress: Progress = silent) -> list[Check]:
    """Repeat a proof's measurements here, and hold each against it.

    Files and rows must be the same to the byte, answers and what is counted of them the same exactly; times,
    rates and memory must lie within the interval that was proven, or on its good side.

    Args:
        folder: that ``compress`` wrote.
        seconds: that speed is measured.
        progress: told of every stage.

    Returns:
        A check for each; where files or rows have changed, these alone.

    Raises:
        CheckpointError: there is no proof in the folder, or one that cannot be read.
    """
    folder = Path(folder)
    proof = read_json(folder / PROOF_FILE)
    try:
        return list(_checks(folder, proof, seconds, progress))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, DistilBertError):
            raise
        raise CheckpointError(
            f"{PROOF_FILE} must be what distilbert compress wrote.",
            received=f"{type(error).__name__}: {error}, in {folder}",
            remedy="Restore the file, or compress again.",
        ) from None


def _checks(folder: Path, proof: dict[str, Any], seconds: float, progress: Progress) -> list[Check]:
    if proof["format"] != _FORMAT:
        raise ValueError(f"format {proof['format']}")
    files = proof["files"]
    now = {name: _sum(folder / name) for name in _names(folder)}
    changed = sorted(name for name in files | now if files.get(name) != now.get(name))
    checks = [
        Check(
            "files",
            f"{len(files)} files",
            ", ".join(changed) + " changed" if changed else "the same",
            not changed,
        )
    ]
    content = (folder / ROWS_FILE).read_bytes() if (folder / ROWS_FILE).is_file() else b""
    same = hashlib.sha256(content).hexdigest() == proof["rows"]["sha256"]
    checks.append(Check("rows", f"{proof['rows']['count']} rows", "the same" if same else "changed", same))
    if changed or not same:
        return checks
    lines = [json.loads(line) for line in content.decode().splitlines()]
    progress("answer the rows", 0, len(lines), {})
    with Engine.load(folder, streams=1, threads=usable_cores()) as engine:
        task, examples = engine.task, _examples(engine.task, lines)
        answers = ask_alone(engine.answers, examples)
        ways = f"{engine.runtime} {engine.precision}"
    proven, told = [line["answer"] for line in lines], _told(task, answers)
    differing = [i for i, (a, b) in enumerate(zip(proven, told, strict=True)) if not _alike(a, b)]
    said_so = f"{len(differing)} of {len(lines)} differ" if differing else "the same"
    if differing:
        line = lines[differing[0]]
        said_so += f", the first {line['text']!r:.60}: {line['answer']} and {told[differing[0]]}"
    if ways != proof["computed_by"]:
        said_so += f" (by {ways}, where {proof['computed_by']} was proven)"
    checks.append(Check("answers", f"{len(lines)} answers", said_so, not differing))
    quality = qualities(task, examples, told_of(task, answers), _said(task, lines), seed=proof["seed"])
    found = {**quality, **measure(folder, examples, seconds=seconds)}
    for name, figure in proof["figures"].items():
        if name in found:
            checks.append(
                _figure(name, Figure(**figure), found[name], exact=name in quality or name == "size")
            )
    checks += _terms(Target.parse(proof["target"]), proof, found)
    return checks


def _terms(target: Target, proof: dict[str, Any], found: dict[str, Figure]) -> list[Check]:
    """Whether what met the target does so here, the intervals given."""
    return [
        Check(f"target: {term}", "met", term.shown(found[term.name].value), holds)
        for term in target.terms
        if term.name in found and str(term) not in proof["unmet"]
        for holds in [term.met(found[term.name].low if term.kind.sign == "<=" else found[term.name].high)]
    ]


def _figure(name: str, proven: Figure, found: Figure, *, exact: bool) -> Check:
    if exact:
        holds = abs(proven.value - found.value) <= _ALIKE * max(1.0, abs(proven.value))
    elif name in KINDS and KINDS[name].sign == ">=":
        holds = found.high >= proven.low
    else:
        holds = found.low <= proven.high
    return Check(name, _with_interval(name, proven), _with_interval(name, found), holds)


def _with_interval(name: str, figure: Figure) -> str:
    def said(value: float) -> str:
        return shown(name, value) if name in KINDS else f"{value:.4f}"

    if figure.low == figure.high:
        return said(figure.value)
    return f"{said(figure.value)} ({said(figure.low)} to {said(figure.high)})"


def _lines(task: Any, examples: Examples, said: Said, answers: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows, each with what is true, the teacher's answer, and the folder's."""
    its = said.told(task)
    target = task.target
    lines = []
    for i, (row, answer) in enumerate(zip(_rows(examples), _told(task, answers), strict=True)):
        teacher = None
        if said.known[i]:
            teacher = float(its[i]) if isinstance(task, Regression) else task.labels[its[i]]
        line = {**row, target: examples.columns[target][i], "teacher": teacher, "answer": answer}
        if not isinstance(task, Regression):
            line["score"] = round(answers[i].score, 6)
        lines.append(line)
    return lines


def _rows(examples: Examples) -> list[dict[str, str]]:
    names = text_columns(examples)
    return [dict(zip(names, row, strict=True)) for row in examples.rows(*names)]


def _examples(task: Any, lines: Sequence[dict[str, Any]]) -> Examples:
    names = ["text", *(["text_b"] if "text_b" in lines[0] else []), task.target]
    return Examples(task.name, {name: [line[name] for line in lines] for name in names}, ROWS_FILE)


def _said(task: Any, lines: Sequence[dict[str, Any]]) -> Said:
    """The teacher's answers, as far as they decide an agreement."""
    known = np.array([line["teacher"] is not None for line in lines])
    if isinstance(task, Regression):
        return Said(np.array([[line["teacher"] or 0.0] for line in lines]), known)
    logits = np.zeros((len(lines), len(task.labels)))
    for i, line in enumerate(lines):
        if known[i]:
            logits[i, task.labels.index(line["teacher"])] = 1.0
    return Said(logits, known)


def _told(task: Any, answers: Sequence[Any]) -> list[Any]:
    return [float(one.value) if isinstance(task, Regression) else one.label for one in answers]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return bool(one == other)
    return bool(abs(one - other) <= _ALIKE * max(1.0, abs(one)))


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in counted_files(folder)]


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
