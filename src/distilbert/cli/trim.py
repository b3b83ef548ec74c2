"""Cut a model's vocabulary down to what texts use.

On those texts the new model answers as the old one does; rows of other tokens, in small models most of the
weights, are gone. Words that come apart into tokens that are gone become unknown.

  distilbert trim --model classifier/ --text corpus.txt --out small/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_output, add_text, read_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="a BERT or DistilBERT, with any head: a folder, or a name on a hub",
    )
    add_text(parser, what="all that it is to understand")
    parser.add_argument("--keep", nargs="*", default=(), metavar="TOKEN", help="tokens to keep besides")
    add_output(parser, what="the smaller model")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.trimming import trim

    texts = read_text(args)
    cut = trim(args.model, texts, out=args.out, keep=args.keep, force=args.force, progress=display.progress)
    display.result(
        f"{args.out}: {cut.tokens:,} of {cut.of_tokens:,} tokens, "
        f"{cut.parameters / 1e6:.1f} M of {cut.of_parameters / 1e6:.1f} M parameters.",
        vars(cut),
    )
