r"""Answer what a fine-tuned model was trained for: texts given as words, in a file, or on standard input.

Prints a line for each: the answer, its probability, the text; with --json an object a line. What is more
than one text, such as a pair or a question with its options, comes from a table, or as JSON objects.

  distilbert predict --model classifier/ "A fine day." "A dull one."
  distilbert predict --model classifier/ --file texts.txt --json
  cat texts.txt | distilbert predict --model classifier/ -
  distilbert predict --model pairs/ '{"text_a": "A fine day.", "text_b": "A dull one."}'
  distilbert predict --model classifier/ --file texts.txt --abstain-below 0.8

An engine answers, without PyTorch, by what optimize has verified or in fp32; with --backend, or a --device
that is no processor, a framework's own model does.

With --out a table of any size is answered into a file. The same command goes on from what a killed run has
answered.

  distilbert predict --model classifier/ --file rows.jsonl --out answers.jsonl
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from distilbert.cli.backends import NAMES, job, threads
from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine
from distilbert.cli.tables import add_columns, read_table
from distilbert.core.data.sources import known_kind, read_texts
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.reading import as_examples
from distilbert.core.tasks.task import Answered, Task
from distilbert.errors import ConfigError, DataError

#: Examples answered at a time: enough to sort by length, few enough to answer while reading.
_CHUNK = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a fine-tuned model")
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="a text, or a JSON object of a row; - reads one a line from standard input",
    )
    parser.add_argument(
        "--file", metavar="FILE", help="a .txt (a text a line), .jsonl, .csv, .tsv or .parquet"
    )
    parser.add_argument(
        "--abstain-below",
        type=float,
        metavar="P",
        help='say "unsure" where the answer\'s probability is lower',
    )
    add_columns(parser)
    group = parser.add_argument_group("into a file")
    group.add_argument(
        "--out", metavar="FILE", help="a .jsonl, .csv or .parquet for the answers to --file; it is replaced"
    )
    group = parser.add_argument_group("what computes")
    group.add_argument(
        "--runtime",
        choices=("auto", "onnx", "openvino", "torch"),
        help="of an engine (what optimize has verified, else the first that is installed)",
    )
    group.add_argument(
        "--on-long",
        choices=("window", "truncate", "error"),
        help="what becomes of longer texts than the model reads (window; by a framework truncate)",
    )
    group.add_argument(
        "--backend", choices=tuple(NAMES), help="a framework whose own model answers, in place of an engine"
    )
    add_machine(parser)


def needs_framework(args: argparse.Namespace) -> bool:
    """Whether a framework is to be loaded before the command begins."""
    if args.backend is None and args.device in ("auto", "cpu"):
        return False
    given = {"--runtime": args.runtime, "--out": args.out, "--on-long": args.on_long}
    given = {flag: value for flag, value in given.items() if value not in (None, "truncate")}
    if given:
        asked = f"--backend {args.backend}" if args.backend else f"--device {args.device}"
        raise ConfigError(
            "An engine answers into files, by a runtime's name, and all of long texts; a framework does not.",
            received=", ".join([asked, *(f"{flag} {value}" for flag, value in given.items())]),
            remedy=f"Leave {asked.partition(' ')[0]} out.",
        )
    return True


def run(args: argparse.Namespace, display: Display) -> None:
    if args.out is not None:
        _into_file(args, display)
        return
    if bool(args.texts) == bool(args.file):
        raise DataError(
            "Texts come either as words or from a file.",
            received="neither" if not args.texts else "both",
            remedy='Give "a text", or --file FILE, or - to read standard input.',
        )
    lines = None if args.file else _standard_input() if args.texts == ["-"] else iter(args.texts)
    (_by_framework if needs_framework(args) else _by_engine)(args, lines, display)


def _by_engine(args: argparse.Namespace, lines: Iterator[str] | None, display: Display) -> None:
    with _engine(args) as engine:
        done = 0
        for examples in _chunks(args, lines, engine.task):
            display.progress("predict", done, None, {})
            answers = engine.answers(examples, abstain_below=args.abstain_below)
            _print(args, engine.task, examples, answers)
            done += len(examples)
        display.progress("predict", done, done, {})
        tally, longest = engine.tally, engine.opened.max_length
        if engine.precision != "fp32":
            display.say(f"Answered by {engine.runtime} in {engine.precision}, as optimize has verified.")
    _say_long(display, tally.cut, longest)
    if tally.windowed:
        display.say(f"{tally.windowed} texts were longer than {longest} tokens and were read in windows.")


def _by_framework(args: argparse.Namespace, lines: Iterator[str] | None, display: Display) -> None:
    predictor = job(args, "predictor").Predictor.open(args.model, device=args.device)
    cut = 0
    for examples in _chunks(args, lines, predictor.task):
        answers, cut_here = predictor.answers_and_cut(
            examples, abstain_below=args.abstain_below, progress=display.progress
        )
        cut += cut_here
        _print(args, predictor.task, examples, answers)
    _say_long(display, cut, predictor.max_length)


def _print(args: argparse.Namespace, task: Task, examples: Examples, answers: Sequence[Answered]) -> None:
    names = [name for name in task.inputs if name in examples.columns]
    for given, answer in zip(examples.rows(*names), answers, strict=True):
        if args.json:
            found = {**dict(zip(names, given, strict=True)), **answer.as_dict()}
            print(json.dumps(found, ensure_ascii=False))
        else:
            print("\t".join([str(answer), *map(_shown, given)]))


def _say_long(display: Display, cut: int, longest: int) -> None:
    if cut:
        display.say(f"{cut} texts were longer than {longest} tokens and were cut to that.")


def _engine(args: argparse.Namespace) -> Any:
    from distilbert.engine.engine import load

    return load(
        args.model,
        runtime=args.runtime or "auto",
        streams=threads(args),
        on_long=args.on_long or "window",
    )


def _into_file(args: argparse.Namespace, display: Display) -> None:
    from distilbert.engine.answer_files import answer_file, out_kind

    if args.texts or not args.file:
        raise DataError(
            "Answers go into a file where their texts come from one.",
            received="--out" + (", and texts as words" if args.texts else " without --file"),
            remedy="Give --file FILE, or leave --out out.",
        )
    out_kind(Path(args.out))
    columns = {**({"text": args.text_column} if args.text_column else {}), **args.columns}
    started = time.perf_counter()
    with _engine(args) as engine:
        made = answer_file(
            engine,
            args.file,
            args.out,
            columns=columns,
            abstain_below=args.abstain_below,
            progress=display.progress,
        )
        tally, computed = engine.tally, {"runtime": engine.runtime, "precision": engine.precision}
    facts = {
        "out": args.out,
        **asdict(made),
        "cut": tally.cut,
        "windowed": tally.windowed,
        "padding": round(tally.padding, 4),
        **computed,
        "seconds": round(time.perf_counter() - started, 2),
    }
    said = f", {made.resumed} of them from an earlier run" if made.resumed else ""
    said += f"; {made.refused} rows could not be read" if made.refused else ""
    said += f"; {tally.cut} texts were cut" if tally.cut else ""
    by = " in ".join(computed.values())
    display.result(f"{args.out}: {made.rows} answers by {by}{said}.", facts)


def _chunks(args: argparse.Namespace, lines: Iterator[str] | None, task: Task) -> Iterator[Examples]:
    """What is to be answered, some of it at a time."""
    table = not task.single or ("tokens" in task.columns and known_kind(Path(args.file or "")) != ".txt")
    if lines is None and table:
        examples = read_table(args, args.file, task=task.name, labelled=False)
        for start in range(0, len(examples), _CHUNK):
            yield examples.take(range(start, min(start + _CHUNK, len(examples))))
        return
    if lines is None:
        column = args.columns.get("text") or args.text_column
        lines = read_texts(args.file, column=column, every_row=True)
    elif not task.single:
        rows = [_row(line, number, task) for number, line in enumerate(lines, start=1)]
        yield as_examples(rows, task=task.name, source="what was given", labelled=False)
        return
    while chunk := list(islice(lines, _CHUNK)):
        yield Examples(task.name, {"text": chunk})


def _row(line: str, number: int, task: Task) -> dict[str, Any]:
    row = None
    with suppress(ValueError, RecursionError):
        row = json.loads(line)
    if not isinstance(row, dict):
        raise DataError(
            f"What a model for {task.name} answers is a JSON object with {', '.join(task.inputs)}.",
            received=f"{line!r:.60} as number {number}",
            remedy="Give such objects, or a table: --file FILE",
        )
    return row


def _shown(value: Any) -> str:
    return " | ".join(value) if isinstance(value, list) else str(value)


def _standard_input() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            raise DataError(
                "Texts on standard input must be UTF-8.",
                received=f"0x{line[error.start]:02x} at line {number}",
                remedy="Convert them first, for example with iconv.",
            ) from None
        if text:
            yield text
