"""Pack a model's folder as the file that a cloud takes.

SageMaker unpacks model.tar.gz into the container, where ``distilbert serve`` finds it. What is read of the
folder is in it, what was optimised too, and nothing else.

  distilbert package --sagemaker classifier/ --out model.tar.gz
"""

import argparse

from distilbert.cli.display import Display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sagemaker", required=True, metavar="MODEL", help="a folder, or its name on a hub")
    parser.add_argument("--out", required=True, metavar="FILE", help="the archive, model.tar.gz")
    parser.add_argument("--force", action="store_true", help="replace a file that stands there")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.packages import package

    made = package(args.sagemaker, out=args.out, force=args.force)
    display.result(f"{args.out}: {len(made.files)} files, {made.bytes / 1e6:.1f} MB.", vars(made))
