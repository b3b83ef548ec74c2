"""Make a student of a teacher, by reading a text together.

The student keeps some of the teacher's layers and learns from the teacher's distribution over hidden
words, from the words themselves, and from the teacher's last hidden states (Sanh et al. 2019).

  distilbert distill --teacher bert/ --text corpus.txt --layers 3 --out student/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_machine,
    add_output,
    add_recipe,
    layers,
    read_recipe,
    refuse_taken,
    show_plan,
)
from distilbert.core.data.sources import read_texts
from distilbert.core.recipe import LanguageModelling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="MODEL",
        help="a BERT or DistilBERT with its masked-language-model head",
    )
    parser.add_argument(
        "--text",
        required=True,
        metavar="FILE",
        help="a .txt (a text a line), .jsonl, .csv, .tsv or .parquet; all but the last also as .gz",
    )
    parser.add_argument("--text-column", metavar="NAME", help="the table's column with the text")
    parser.add_argument(
        "--layers",
        required=True,
        metavar="N",
        help="how many of the teacher's layers to keep, or which: 0,2,4",
    )
    add_output(parser, what="the student")
    add_recipe(parser, LanguageModelling)
    group = parser.add_argument_group("losses")
    usual = LanguageModelling()
    group.add_argument("--temperature", type=float, help=f"of both distributions ({usual.temperature:g})")
    for name, what in (
        ("masked_lm", "the cross-entropy of the hidden words"),
        ("distribution", "the divergence from the teacher's distribution over them"),
        ("cosine", "the angle between both models' last hidden states"),
    ):
        value = getattr(usual, f"{name}_weight")
        flag = f"--{name.replace('_', '-')}-weight"
        group.add_argument(flag, type=float, metavar="W", help=f"of {what} ({value:g}); 0 leaves it out")
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.distill import Distiller

    recipe = read_recipe(
        args, LanguageModelling, "temperature", "masked_lm_weight", "distribution_weight", "cosine_weight"
    )
    distiller = Distiller(
        args.teacher,
        layers=layers(args.layers),
        recipe=recipe,
        device=args.device,
        progress=display.progress,
    )
    texts = read_texts(args.text, column=args.text_column)
    if args.dry_run:
        refuse_taken(args)
        show_plan(distiller.rehearse(texts).facts(), display)
        return
    facts = distiller.run(texts, out=args.out, force=args.force).facts
    display.result(
        f"{args.out}: a student of {facts['parameters']:,} parameters, "
        f"distilled in {facts['training']['seconds']:.0f} s.\n"
        f"Next: distilbert finetune --model {args.out} --train data.csv --out classifier/",
        facts,
    )
