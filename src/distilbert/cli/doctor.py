"""Say what is likely wrong with a run, before hours go into it.

A teacher that knows no better than chance, labels in another order, a text that the vocabulary does not know,
a learning rate that is far off, weights that are no numbers: each in a sentence, with the remedy. Every run
says it at its start, too.

  distilbert doctor --teacher bert/ --text corpus.txt --layers 3
  distilbert doctor --model bert/ --text corpus.txt
  distilbert doctor --model student/ --train train.csv --teacher big/
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_given_student,
    add_machine,
    add_student,
    add_teachers,
    add_text,
    read_given_student,
    read_student,
    read_teachers,
    read_text,
)
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.cli.tables import read_unlabelled
from distilbert.core.recipe import Finetuning, LanguageModelling
from distilbert.core.tasks.reading import read_examples
from distilbert.errors import ConfigError

if TYPE_CHECKING:
    from distilbert.core.training.findings import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_teachers(parser, required=False)
    parser.add_argument("--model", metavar="MODEL", help="who learns, where it is no student of layers")
    add_text(parser, what="what a distillation or a pretraining reads", required=False)
    parser.add_argument("--train", metavar="FILE", help="the table of examples of a fine-tuning")
    parser.add_argument("--unlabelled", metavar="FILE", help="its examples that only the teacher labels")
    parser.add_argument("--label-column", metavar="NAME", help="the table's column with the label")
    add_student(parser, required=False)
    add_given_student(parser)
    add_recipe(parser, LanguageModelling, Finetuning, default=None)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> int:
    findings = _findings(args, display)
    said = "\n".join(map(str, findings)) or "Nothing is likely wrong with this run."
    display.result(said, [{"what": finding.what, "remedy": finding.remedy} for finding in findings])
    return 1 if findings else 0


def _findings(args: argparse.Namespace, display: Display) -> "Sequence[Finding]":
    from distilbert.torch.distill import Distiller, Pretrainer
    from distilbert.torch.finetune import Finetuner

    how: dict[str, Any] = {"device": args.device, "progress": display.progress}
    if args.model and args.train and not args.text and len(args.teacher or ()) < 2:
        args.recipe = args.recipe or "default"
        named = {"text": args.text_column, "label": args.label_column}
        data = read_examples(args.train, columns={name: column for name, column in named.items() if column})
        unlabelled = read_unlabelled(args, data) if args.unlabelled else []
        teacher = args.teacher[0] if args.teacher else None
        finetuner = Finetuner(args.model, teacher=teacher, recipe=read_recipe(args, Finetuning), **how)
        return finetuner.examine(data, unlabelled=unlabelled)
    if args.model and args.text and not (args.teacher or args.train):
        args.recipe = args.recipe or "adapt"
        return Pretrainer(args.model, recipe=read_recipe(args, LanguageModelling), **how).examine(
            read_text(args)
        )
    if args.teacher and args.text and not (args.model or args.train):
        args.recipe = args.recipe or "default"
        how |= {**read_teachers(args), **read_student(args), **read_given_student(args)}
        return Distiller(recipe=read_recipe(args, LanguageModelling), **how).examine(read_text(args))
    given = [f"--{name}" for name in ("teacher", "model", "text", "train") if getattr(args, name)]
    raise ConfigError(
        "A doctor looks at one run: a distillation, a pretraining or a fine-tuning.",
        received=" ".join(given) or "none of their flags",
        remedy="Give --teacher and --text, with --layers; --model and --text; or --model and --train.",
    )
