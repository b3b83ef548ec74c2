"""Judge a fine-tuned model by a table of examples, or a language model by the hidden words of a text.

The metrics of its task, each with a 95% interval over resamples of the rows, label by label where there are
labels, and with --against beside other models on the same rows. A page, report.html, also draws what is taken
for what and how far the model can be believed, and lists the mistakes that it was surest of. Of a language
model the loss of a hidden word, its perplexity, and how often the likeliest word is the right one.

  distilbert evaluate --model classifier/ --data test.csv
  distilbert evaluate --model classifier/ --data test.csv --against other/ third/ --report page.html
  distilbert evaluate --model classifier/ --data dev.csv --calibrate
  distilbert evaluate --model student-lm/ --text heldout.txt
"""

import argparse
from pathlib import Path
from typing import Any

from distilbert.cli.backends import add_backend, job, refuse_other
from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine
from distilbert.cli.tables import KINDS, add_columns, add_label_column, read_table
from distilbert.core.data.hub_tables import JUDGED
from distilbert.core.data.texts import TextFiles
from distilbert.core.files import write_atomically
from distilbert.core.recipe import LanguageModelling
from distilbert.errors import ConfigError, OutputError

#: Where the page goes if nobody says where.
_PAGE = "report.html"


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
    parser.add_argument(
        "--against", nargs="+", default=[], metavar="MODEL", help="other models, judged by the same examples"
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="fit the temperature, and the thresholds of several labels or of having no answer, to these "
        "examples, and keep them in the model's folder; the scores are those of before",
    )
    parser.add_argument("--report", metavar="FILE", help=f"the page to write ({_PAGE})")
    parser.add_argument("--max-length", type=int, help="tokens of a language model's sequences (128)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of resampling, and of which words are hidden (0)"
    )
    add_backend(parser)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    if bool(args.data) == bool(args.text):
        raise ConfigError(
            "A model is judged by examples or by text.",
            received="both" if args.data else "neither",
            remedy="Give --data FILE to a fine-tuned model, or --text PATH to a language model.",
        )
    if args.text:
        refuse_other(args, "A language model is judged")
        from distilbert.torch.masked_evaluation import evaluate_language_model

        recipe = LanguageModelling(precision="fp32").with_changes(seed=args.seed, max_length=args.max_length)
        files = TextFiles(args.text, column=args.text_column)
        scores = evaluate_language_model(
            args.model, files, recipe=recipe, device=args.device, progress=display.progress
        )
        ending = f"{scores['hidden']} hidden words of {scores['sequences']} sequences"
        display.result(_table(scores, "words", ending), scores)
        return
    _judge(args, display)


def _judge(args: argparse.Namespace, display: Display) -> None:
    """Judge a fine-tuned model."""
    from distilbert.core.tasks.metrics import require_metrics
    from distilbert.report.charts import require_charts
    from distilbert.report.evaluation import (
        CLASS_COLUMNS,
        COMPARISON_COLUMNS,
        class_rows,
        comparison_rows,
        evaluation_page,
    )

    require_metrics()
    require_charts()
    place = _place(args.report)
    wing = job(args, "evaluate")
    predictor = job(args, "predictor").Predictor.open(args.model, device=args.device)
    task = predictor.task.name
    data = read_table(args, args.data, task=task, splits=JUDGED)
    ways: dict[str, Any] = {"device": args.device, "progress": display.progress}
    scores = wing.evaluate(predictor, data, against=args.against, seed=args.seed, **ways)
    fitted = wing.calibrate(args.model, data, **ways) if args.calibrate else None
    page = evaluation_page(scores, model=args.model, data=Path(args.data).name, task=task, fitted=fitted)
    write_atomically(place, page.encode())
    ending = f"{scores['rows']}, of which {scores['cut_to_max_length']} were cut to length"
    lines = [_table(scores, "rows", ending)]
    if "calibration" in scores:
        lines.append(f"Calibration error: {scores['calibration']['error']:.4f}")
    if fitted:
        lines.append(f"Calibrated: {args.model} now {_does(fitted)}.")
    lines.append(f"The page to look at: {place}")
    display.result("\n".join(lines), {**scores, **({"calibrated": fitted} if fitted else {})})
    if display.json:
        return
    for name in ("entities", "classes"):
        if name in scores:
            display.table(CLASS_COLUMNS, class_rows(scores[name]))
            break
    if "against" in scores:
        display.table(COMPARISON_COLUMNS, comparison_rows(scores["against"]))


def _does(fitted: dict[str, Any]) -> str:
    if "null_threshold" in fitted:
        return f"tells no answer from {fitted['null_threshold']:.4f} above the best one on"
    return f"divides its logits by {fitted['temperature']:.4f}"


def _place(given: str | None) -> Path:
    """Where the page goes; unasked, no file is replaced that is not such a page.

    Raises:
        OutputError: another file stands there.
    """
    from distilbert.report.evaluation import MARK

    place = Path(given or _PAGE)
    if given is None and place.exists():
        known = place.is_file() and MARK.encode() in place.read_bytes()[:100_000]
        if not known:
            raise OutputError(
                f"{_PAGE} is replaced only where it is the page of an earlier evaluation.",
                received=f"another one in {place.resolve().parent}",
                remedy="Name another place: --report FILE",
            )
    return place


def _table(scores: dict[str, Any], last: str, ending: str) -> str:
    """A line a figure, and one on what it was taken of."""
    figures = {name: found for name, found in scores.items() if isinstance(found, dict) and "low" in found}
    width = max(10, *map(len, figures))
    lines = [
        f"{name:>{width}}  {found['value']:.4f}  (95% interval {found['low']:.4f} to {found['high']:.4f})"
        for name, found in figures.items()
    ]
    return "\n".join([*lines, f"{last:>{width}}  {ending}"])
