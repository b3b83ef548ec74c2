"""Teach a model to tell hidden words of a text.

Adapts a model to a domain, and gives one without it the head that a teacher needs.

  distilbert pretrain --model bert/ --text corpus.txt --out teacher/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_machine,
    add_output,
    add_recipe,
    how_to_run,
    read_recipe,
    refuse_taken,
    show_plan,
)
from distilbert.core.data.sources import read_texts
from distilbert.core.recipe import LanguageModelling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a BERT or DistilBERT")
    parser.add_argument(
        "--text", required=True, metavar="FILE", help="a .txt (a text a line), .jsonl, .csv, .tsv or .parquet"
    )
    parser.add_argument("--text-column", metavar="NAME", help="the table's column with the text")
    add_output(parser, what="the model")
    add_recipe(parser, LanguageModelling, default="adapt")
    parser.add_argument("--tokens", type=int, help="to read before the end, instead of epochs")
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.distill import Pretrainer

    recipe = read_recipe(args, LanguageModelling, "tokens")
    pretrainer = Pretrainer(args.model, recipe=recipe, device=args.device, progress=display.progress)
    texts = read_texts(args.text, column=args.text_column)
    if args.dry_run:
        refuse_taken(args)
        show_plan(pretrainer.rehearse(texts).facts(), display)
        return
    facts = pretrainer.run(texts, **how_to_run(args)).facts
    display.result(
        f"{args.out}: trained in {facts['training']['seconds']:.0f} s.\n"
        f"Next: distilbert distill --teacher {args.out} --text {args.text} --layers 3 --out student/",
        facts,
    )
