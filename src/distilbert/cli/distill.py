"""Make a student of a teacher, by reading a text together.

The student keeps some of the teacher's layers and learns from the teacher's distribution over hidden
words, from the words themselves, and from the teacher's last hidden states (Sanh et al. 2019).

  distilbert distill --teacher bert/ --text corpus.txt --layers 3 --out student/
"""

import argparse

from distilbert.cli.backends import add_backend, job
from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_given_student,
    add_machine,
    add_output,
    add_run,
    add_student,
    add_teachers,
    add_text,
    how_to_run,
    read_given_student,
    read_student,
    read_teachers,
    read_text,
    refuse_taken,
    show_plan,
    write_report,
)
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.core.recipe import LanguageModelling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_teachers(parser)
    add_text(parser)
    add_student(parser, required=False)
    add_given_student(parser)
    parser.add_argument(
        "--answers",
        metavar="DIR",
        help="learn from what distilbert ask has kept, without running the teacher",
    )
    add_output(parser, what="the student")
    add_recipe(parser, LanguageModelling)
    add_run(parser)
    add_backend(parser)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    distiller = job(args, "distill").Distiller(
        **read_teachers(args),
        **read_student(args),
        **read_given_student(args),
        answers=args.answers,
        recipe=read_recipe(args, LanguageModelling),
        device=args.device,
        progress=display.progress,
    )
    texts = read_text(args)
    if args.dry_run:
        refuse_taken(args)
        show_plan(distiller.rehearse(texts).facts(), display)
        return
    done = distiller.run(texts, **how_to_run(args))
    write_report(args, done)
    facts = done.facts
    display.result(
        f"{args.out}: a student of {facts['parameters']:,} parameters, "
        f"distilled in {facts['training']['seconds']:.0f} s.\n"
        f"Next: distilbert finetune --model {args.out} --train data.csv --out classifier/",
        facts,
    )
