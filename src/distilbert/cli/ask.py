r"""Ask a teacher once about the words that will be hidden from its students.

Its answers are kept on the disk: students then learn from them as often as one likes, without running it.

  distilbert ask --teacher bert/ --text corpus.txt --out answers/
  distilbert distill --teacher bert/ --answers answers/ --cosine-weight 0 \
      --text corpus.txt --layers 3 --out student/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine, add_text, read_text
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.core.recipe import LanguageModelling

#: Fields of the students' recipe that decide what a teacher is asked, and how.
_ASKED = (
    "seed", "max_length", "min_length", "micro_batch_size", "precision", "temperature",
    "masking", "mask_rate", "mask_share", "keep_share", "smoothing",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="MODEL",
        help="a BERT or DistilBERT with its masked-language-model head",
    )
    add_text(parser, what="what the students will read")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder for the answers")
    parser.add_argument("--resume", action="store_true", help="go on with this run where it was interrupted")
    parser.add_argument("--force", action="store_true", help="give up what an interrupted run left")
    add_recipe(parser, LanguageModelling, only=_ASKED)
    parser.add_argument("--epochs", type=int, help="ways of hiding words (as many as the recipe has epochs)")
    parser.add_argument("--top", type=int, default=32, help="words of each answer (%(default)s)")
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.asking import ask

    recipe = read_recipe(args, LanguageModelling)
    answers = ask(
        args.teacher,
        read_text(args),
        out=args.out,
        recipe=recipe,
        epochs=args.epochs,
        top=args.top,
        force=args.force,
        resume=args.resume,
        device=args.device,
        progress=display.progress,
    )
    display.result(
        f"{args.out}: answers to {answers.epochs} ways of hiding words, {answers.top} words each.\n"
        f"Next: distilbert distill --answers {args.out} --cosine-weight 0, with the flags given here",
        answers.facts,
    )
