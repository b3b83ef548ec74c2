"""Make a student of a teacher, by reading a text together.

The student keeps some of the teacher's layers and learns from the teacher's distribution over hidden
words, from the words themselves, and from the teacher's last hidden states (Sanh et al. 2019).

  distilbert distill --teacher bert/ --text corpus.txt --layers 3 --out student/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_given_student,
    add_machine,
    add_output,
    add_reading,
    add_recipe,
    add_student,
    add_teachers,
    add_text,
    how_to_run,
    read_given_student,
    read_recipe,
    read_student,
    read_teachers,
    read_text,
    refuse_taken,
    show_plan,
    write_report,
)
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
    add_reading(parser)
    group = parser.add_argument_group("losses")
    usual = LanguageModelling()
    group.add_argument("--temperature", type=float, help=f"of both distributions ({usual.temperature:g})")
    for name, what in (
        ("masked_lm", "the cross-entropy of the hidden words"),
        ("distribution", "the divergence from the teacher's distribution over them"),
        ("cosine", "the angle between both models' last hidden states"),
        ("jensen_shannon", "the divergence of both distributions from their mean"),
        ("logits_error", "the squared differences of logits"),
    ):
        value = getattr(usual, f"{name}_weight")
        flag = f"--{name.replace('_', '-')}-weight"
        group.add_argument(flag, type=float, metavar="W", help=f"of {what} ({value:g}); 0 leaves it out")
    group.add_argument(
        "--heard-at",
        dest="heard_at",
        help=f"where the teacher's distribution is learnt: masked, masked+10%%, or all ({usual.positions})",
    )
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.distill import Distiller

    terms = ("masked_lm", "distribution", "cosine", "jensen_shannon", "logits_error")
    weights = [f"{term}_weight" for term in terms]
    recipe = read_recipe(args, LanguageModelling, "tokens", "temperature", "masking", *weights)
    distiller = Distiller(
        **read_teachers(args),
        **read_student(args),
        **read_given_student(args),
        answers=args.answers,
        recipe=recipe.with_changes(positions=args.heard_at),
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
