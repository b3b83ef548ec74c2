"""Cut a student out of a teacher, without training.

Given a number, the layers are spread evenly over the teacher's; token types are folded into positions.
A narrower student keeps principal components of the states or a slice of them, and the heads and neurons
that count most.

  distilbert shrink --teacher bert/ --layers 0,2,4 --out student/
  distilbert shrink --teacher bert/ --layers 3 --take first --dim 192 --text corpus.txt --out small/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_output, add_student, read_student
from distilbert.core.data.texts import TextFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="MODEL",
        help="a BERT or DistilBERT with its masked-language-model head: a folder, or a name on a hub",
    )
    add_student(parser)
    parser.add_argument(
        "--text",
        metavar="FILE",
        help="its first texts show by which coordinates a narrower student is best cut",
    )
    parser.add_argument("--text-column", metavar="NAME", help="the table's column with the text")
    parser.add_argument(
        "--seed", type=int, default=0, help="of a student at random, and of tokens in place of texts (0)"
    )
    add_output(parser, what="the student")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.surgery import shrink

    config = shrink(
        args.teacher,
        **read_student(args),
        texts=TextFiles(args.text, column=args.text_column) if args.text else (),
        seed=args.seed,
        out=args.out,
        force=args.force,
    )
    display.result(
        f"{args.out}: a student of {config.n_layers} layers, {config.dim} wide, untrained.", config.to_dict()
    )
