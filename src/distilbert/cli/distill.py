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
    add_text,
    how_to_run,
    read_recipe,
    read_text,
    refuse_taken,
    show_plan,
)
from distilbert.core.recipe import LanguageModelling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="MODEL",
        help="a BERT or DistilBERT with its masked-language-model head",
    )
    add_text(parser)
    parser.add_argument(
        "--layers",
        required=True,
        metavar="N",
        help="how many of the teacher's layers to keep, or which: 0,2,4",
    )
    add_output(parser, what="the student")
    add_recipe(parser, LanguageModelling)
    parser.add_argument("--tokens", type=int, help="to read before the end, instead of epochs")
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
        "--positions",
        help=f"where the teacher's distribution is learnt: masked, masked+10%%, or all ({usual.positions})",
    )
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.distill import Distiller

    terms = ("masked_lm", "distribution", "cosine", "jensen_shannon", "logits_error")
    weights = [f"{term}_weight" for term in terms]
    recipe = read_recipe(args, LanguageModelling, "tokens", "temperature", "positions", *weights)
    distiller = Distiller(
        args.teacher,
        layers=layers(args.layers),
        recipe=recipe,
        device=args.device,
        progress=display.progress,
    )
    texts = read_text(args)
    if args.dry_run:
        refuse_taken(args)
        show_plan(distiller.rehearse(texts).facts(), display)
        return
    facts = distiller.run(texts, **how_to_run(args)).facts
    display.result(
        f"{args.out}: a student of {facts['parameters']:,} parameters, "
        f"distilled in {facts['training']['seconds']:.0f} s.\n"
        f"Next: distilbert finetune --model {args.out} --train data.csv --out classifier/",
        facts,
    )


def layers(text: str) -> int | tuple[int, ...]:
    """``"3"`` is how many, ``"0,2,4"`` is which."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        from distilbert.errors import ConfigError

        raise ConfigError(
            "--layers is a number of layers, or layers separated by commas.",
            received=text,
            remedy="Give 3, or 0,2,4.",
        ) from None
    return numbers if "," in text else numbers[0]
