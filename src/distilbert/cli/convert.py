"""Write a model with its weights in the files of another framework.

What PyTorch, TensorFlow 2, Flax and Google's TensorFlow 1 have written is read, without any of them. Head and
tokenizer go with the weights.

  distilbert convert --model classifier/ --to h5 --out for-tensorflow/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_output
from distilbert.core.files import WEIGHT_KINDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a BERT or DistilBERT, with any head")
    parser.add_argument(
        "--to",
        required=True,
        choices=WEIGHT_KINDS,
        help="the kind of file; bin is PyTorch's, h5 TensorFlow's, msgpack Flax's",
    )
    parser.add_argument(
        "--dtype", choices=("fp32", "fp16", "bf16"), help="the numbers to write (those that there are)"
    )
    add_output(parser, what="the new model")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.conversion import convert

    made = convert(args.model, to=args.to, out=args.out, dtype=args.dtype, force=args.force)
    display.result(
        f"{args.out}: {made.arrays:,} arrays, {made.parameters / 1e6:.1f} M parameters, as {made.to}.",
        vars(made),
    )
