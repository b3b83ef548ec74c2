"""Judge a fine-tuned model by a table of examples, or a language model by the hidden words of a text.

The metrics of its task, each with a 95% interval over resamples of the rows; of a language model the loss of
a hidden word, its perplexity, and how often the likeliest word is the right one.

  distilbert evaluate --model classifier/ --data test.csv
  distilbert evaluate --model student-lm/ --text heldout.txt
"""

import argparse
from typing import Any

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine
from distilbert.cli.tables import KINDS, add_columns, add_label_column, read_table
from distilbert.core.data.texts import TextFiles
from distilbert.core.recipe import LanguageModelling
from distilbert.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a fine-tuned or a language model")
    parser.add_argument("--data", metavar="FILE", help=f"examples with their answers: {KINDS}")
    parser.add_argument(
        "--text",
        nargs="+",
        metavar="PATH",
        help="files or folders of text for a language model, as of pretrain",
    )
    add_columns(parser)
    add_label_column(parser)
    parser.add_argument("--max-length", type=int, help="tokens of a language model's sequences (128)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of resampling, and of which words are hidden (0)"
    )
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    if bool(args.data) == bool(args.text):
        raise ConfigError(
            "A model is judged by examples or by text.",
            received="both" if args.data else "neither",
            remedy="Give --data FILE to a fine-tuned model, or --text PATH to a language model.",
        )
    if args.text:
        from distilbert.torch.masked_evaluation import evaluate_language_model

        recipe = LanguageModelling(precision="fp32").with_changes(seed=args.seed, max_length=args.max_length)
        files = TextFiles(args.text, column=args.text_column)
        scores = evaluate_language_model(
            args.model, files, recipe=recipe, device=args.device, progress=display.progress
        )
        ending = f"{scores['hidden']} hidden words of {scores['sequences']} sequences"
        display.result(_table(scores, "words", ending), scores)
        return
    from distilbert.core.tasks.metrics import require_metrics
    from distilbert.torch.evaluate import evaluate
    from distilbert.torch.predictor import Predictor

    require_metrics()
    predictor = Predictor.open(args.model, device=args.device)
    data = read_table(args, args.data, task=predictor.task.name)
    scores = evaluate(predictor, data, seed=args.seed, progress=display.progress)
    ending = f"{scores['rows']}, of which {scores['cut_to_max_length']} were cut to length"
    display.result(_table(scores, "rows", ending), scores)


def _table(scores: dict[str, Any], last: str, ending: str) -> str:
    """A line a figure, and one on what it was taken of."""
    figures = {name: found for name, found in scores.items() if isinstance(found, dict) and "low" in found}
    width = max(10, *map(len, figures))
    lines = [
        f"{name:>{width}}  {found['value']:.4f}  (95% interval {found['low']:.4f} to {found['high']:.4f})"
        for name, found in figures.items()
    ]
    return "\n".join([*lines, f"{last:>{width}}  {ending}"])
