"""Make a fine-tuned model as fast as this machine has it, and prove that it still answers the same.

Tries each runtime in fp32, in bf16 where the processor has it, and in whole numbers of 8 bits. Each must
answer the examples as fp32 does before it is measured; the fastest that passes is kept beside the model, and
is what predict and load take from then on, on this kind of processor, until the model changes.

  distilbert optimize classifier/ --data dev.csv
  distilbert optimize classifier/ --data dev.csv --agreement 0.995 --metric-loss 0.2
  distilbert optimize classifier/ --data texts.csv --unlabelled --runtimes onnx
  distilbert optimize language-model/ --data texts.txt
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.tables import KINDS, add_columns, add_label_column, read_table
from distilbert.core.data.hub_tables import JUDGED
from distilbert.core.data.sources import read_texts
from distilbert.core.tasks.reading import Table
from distilbert.engine.gate import Limits
from distilbert.engine.trying import Trial

_COLUMNS = ("what", "agreement", "metric", "loss", "shift", "greatest", "tokens/s", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a fine-tuned model, or a masked language model")
    parser.add_argument(
        "--data", required=True, metavar="FILE", help=f"examples like those that it is to answer: {KINDS}"
    )
    add_columns(parser)
    add_label_column(parser)
    parser.add_argument(
        "--unlabelled", action="store_true", help="without their true answers: agreement alone judges"
    )
    group = parser.add_argument_group("gate")
    group.add_argument(
        "--agreement",
        type=float,
        default=Limits.agreement,
        metavar="P",
        help="with fp32, at least: of labels, tags and answers the same ones, of numbers their correlation, "
        "of vectors their cosine (%(default)s)",
    )
    group.add_argument(
        "--metric-loss",
        type=float,
        default=Limits.metric_loss,
        metavar="POINTS",
        help="of a hundred, of the task's first metric, at most (%(default)s)",
    )
    group = parser.add_argument_group("what is tried")
    group.add_argument(
        "--runtimes", nargs="+", choices=("onnx", "openvino"), help="to try (all that are installed)"
    )
    group.add_argument(
        "--calibration",
        type=int,
        default=300,
        metavar="N",
        help="examples by which ranges are set, at most, and which do not judge (%(default)s)",
    )
    group.add_argument("--seconds", type=float, default=5.0, help="that each is measured (%(default)s)")
    group.add_argument("--threads", type=int, help="processor cores to use (default: all)")
    group.add_argument("--seed", type=int, default=0, help="of what is drawn (%(default)s)")
    group.add_argument("--dry-run", action="store_true", help="say what would be tried, and write nothing")


def needs_framework(args: argparse.Namespace) -> bool:
    """Whether a framework is to be loaded before the command begins."""
    return False


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.tasks.hidden_words import HiddenWords
    from distilbert.engine.optimize import optimize
    from distilbert.engine.plan import Plan, opened_folder

    task = opened_folder(args.model).task.name
    data: Table
    if task == HiddenWords.name:
        data = [{"text": text} for text in read_texts(args.data, column=args.columns.get("text"))]
    else:
        data = read_table(args, args.data, task=task, labelled=not args.unlabelled, splits=JUDGED)
    ways = {"calibration": args.calibration, "labelled": not args.unlabelled, "seed": args.seed}
    if args.dry_run:
        facts = Plan.of(args.model, data, args.runtimes, **ways).facts()
        lines = [f"{name:>14}  {_readable(value)}" for name, value in facts.items() if value]
        display.result("\n".join([*lines, "Nothing was written."]), facts)
        return
    made = optimize(
        args.model,
        data,
        agreement=args.agreement,
        metric_loss=args.metric_loss,
        runtimes=args.runtimes,
        seconds=args.seconds,
        streams=args.threads,
        progress=display.progress,
        **ways,
    )
    if not display.json:
        title = f"{made.rows} examples; agreement: {made.counted}; loss in points of a hundred"
        display.table(_COLUMNS, [_row(trial) for trial in made.trials], title=title)
    chosen = made.chosen
    display.result(
        f"{args.model}: {chosen.name}, {chosen.tokens_per_second:,.0f} tokens a second; "
        f"kept in {made.folder}.",
        made.facts(),
    )


def _row(trial: Trial) -> list[str]:
    if trial.untried:
        return [trial.name, *["—"] * 6, f"not tried: {trial.untried}"]
    said = "chosen" if trial.chosen else "passed"
    speed = "—" if trial.tokens_per_second is None else f"{trial.tokens_per_second:,.0f}"
    verdict = trial.verdict
    if verdict is None:
        return [trial.name, *["—"] * 5, speed, "held against" + (", chosen" if trial.chosen else "")]
    figures = [
        _figure(verdict.agreement, ".2%"),
        _figure(verdict.value, ".4f"),
        _figure(verdict.loss, "+.2f"),
        _figure(verdict.shift, ".2g"),
        _figure(verdict.greatest, ".2g"),
    ]
    return [trial.name, *figures, speed, said if verdict.passed else f"failed: {verdict.failed}"]


def _figure(value: float | None, form: str) -> str:
    return "—" if value is None else f"{value:{form}}"


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {why}" for name, why in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
