"""Cut a student out of a teacher, without training.

Given a number, the layers are spread evenly over the teacher's; token types are folded into positions.

  distilbert shrink --teacher bert/ --layers 0,2,4 --out student/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.distill import layers
from distilbert.cli.flags import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="MODEL",
        help="a BERT or DistilBERT with its masked-language-model head: a folder, or a name on a hub",
    )
    parser.add_argument(
        "--layers",
        required=True,
        metavar="N",
        help="how many of the teacher's layers to keep, or which: 0,2,4",
    )
    add_output(parser, what="the student")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.surgery import shrink

    config = shrink(args.teacher, layers=layers(args.layers), out=args.out, force=args.force)
    display.result(f"{args.out}: a student of {config.n_layers} layers, untrained.", config.to_dict())
