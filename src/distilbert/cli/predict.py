"""Classify texts: given as words, in a file, or on standard input.

Prints a line for each text: label, probability, text; with --json an object a line.

  distilbert predict --model classifier/ "A fine day." "A dull one."
  distilbert predict --model classifier/ --file texts.txt --json
  cat texts.txt | distilbert predict --model classifier/ -
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine
from distilbert.core.data.sources import read_texts
from distilbert.errors import DataError

#: Texts classified at a time: enough to sort by length, few enough to answer while reading.
_CHUNK = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a fine-tuned classifier")
    parser.add_argument(
        "texts", nargs="*", metavar="TEXT", help="a text; - reads a text a line from standard input"
    )
    parser.add_argument(
        "--file", metavar="FILE", help="a .txt (a text a line), .jsonl, .csv, .tsv or .parquet"
    )
    parser.add_argument("--text-column", metavar="NAME", help="the file's column with the text")
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.classifier import TextClassifier

    texts = _texts(args)
    classifier = TextClassifier.open(args.model, device=args.device)
    cut = 0
    while chunk := list(islice(texts, _CHUNK)):
        logits, cut_here = classifier.logits(chunk, progress=display.progress)
        cut += cut_here
        for text, answer in zip(chunk, classifier.task.answers(logits), strict=True):
            if args.json:
                found = {"text": text, "label": answer.label, "score": answer.score, "scores": answer.scores}
                print(json.dumps(found, ensure_ascii=False))
            else:
                print(f"{answer.label}\t{answer.score:.4f}\t{text}")
    if cut:
        display.say(f"{cut} texts were longer than {classifier.max_length} tokens and were cut to that.")


def _texts(args: argparse.Namespace) -> Iterator[str]:
    if bool(args.texts) == bool(args.file):
        raise DataError(
            "Texts come either as words or from a file.",
            received="neither" if not args.texts else "both",
            remedy='Give "a text", or --file FILE, or - to read standard input.',
        )
    if args.file:
        return read_texts(args.file, column=args.text_column, every_row=True)
    if args.texts == ["-"]:
        return _standard_input()
    return iter(args.texts)


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
