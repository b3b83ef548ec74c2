"""Teach a model to tell hidden words of a text.

Adapts a model to a domain, and gives one without it the head that a teacher needs.

  distilbert pretrain --model bert/ --text corpus.txt --out teacher/
"""

import argparse
import shlex

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_machine,
    add_output,
    add_run,
    add_text,
    how_to_run,
    read_text,
    refuse_taken,
    show_plan,
    write_report,
)
from distilbert.cli.recipe_flags import LOSSES, add_recipe, read_recipe
from distilbert.core.recipe import LanguageModelling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a BERT or DistilBERT")
    add_text(parser)
    add_output(parser, what="the model")
    add_recipe(parser, LanguageModelling, default="adapt", without=[LOSSES])
    add_run(parser)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.distill import Pretrainer

    recipe = read_recipe(args, LanguageModelling)
    pretrainer = Pretrainer(args.model, recipe=recipe, device=args.device, progress=display.progress)
    texts = read_text(args)
    if args.dry_run:
        refuse_taken(args)
        show_plan(pretrainer.rehearse(texts).facts(), display)
        return
    done = pretrainer.run(texts, **how_to_run(args))
    write_report(args, done)
    facts = done.facts
    texts_again = shlex.join(args.text)
    looks = [look["masked_token_perplexity"] for look in done.log.judged]
    told = f" Perplexity of hidden tokens: {looks[-1]:.2f}, from {looks[0]:.2f}." if looks else ""
    display.result(
        f"{args.out}: trained in {facts['training']['seconds']:.0f} s.{told}\n"
        f"Next: distilbert distill --teacher {args.out} --text {texts_again} --layers 3 --out student/",
        facts,
    )
