"""Say what is likely wrong with a distillation, before hours go into it.

A teacher that tells hidden words no better than their frequency does, a text that its tokenizer does not
know, a learning rate that is far off: each in a sentence, with the remedy. distill says it at its start, too.

  distilbert doctor --teacher bert/ --text corpus.txt --layers 3
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_given_student,
    add_machine,
    add_recipe_name,
    add_student,
    add_teachers,
    add_text,
    read_given_student,
    read_student,
    read_teachers,
    read_text,
)
from distilbert.core.recipe import LanguageModelling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_teachers(parser)
    add_text(parser)
    add_student(parser, required=False)
    add_given_student(parser)
    add_recipe_name(parser)
    parser.add_argument("--learning-rate", type=float, help="at its highest")
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> int:
    from distilbert.torch.distill import Distiller

    recipe = LanguageModelling.read(args.recipe).with_changes(learning_rate=args.learning_rate)
    distiller = Distiller(
        **read_teachers(args),
        **read_student(args),
        **read_given_student(args),
        recipe=recipe,
        device=args.device,
        progress=display.progress,
    )
    findings = distiller.examine(read_text(args))
    said = "\n".join(map(str, findings)) or "Nothing is likely wrong with this distillation."
    display.result(said, [{"what": finding.what, "remedy": finding.remedy} for finding in findings])
    return 1 if findings else 0
