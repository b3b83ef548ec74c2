"""Learn a WordPiece vocabulary from texts.

Writes a folder that a model of that vocabulary is trained with, or that any program of the published format
reads.

  distilbert train-tokenizer --text corpus.txt --vocab-size 8000 --out tokenizer/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_output, add_text, read_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text(parser)
    parser.add_argument("--vocab-size", type=int, default=30_522, help="tokens at most (%(default)s)")
    parser.add_argument(
        "--min-frequency", type=int, default=2, help="rarer pieces are not joined (%(default)s)"
    )
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents")
    add_output(parser, what="the tokenizer")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.text.trainer import write_tokenizer

    tokenizer = write_tokenizer(
        read_text(args),
        out=args.out,
        force=args.force,
        vocab_size=args.vocab_size,
        min_frequency=args.min_frequency,
        do_lower_case=not args.cased,
        progress=display.progress,
    )
    display.result(f"{args.out}: a vocabulary of {len(tokenizer):,} tokens.", {"vocab_size": len(tokenizer)})
