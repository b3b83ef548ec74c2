"""From a teacher, texts and a target to the smallest model that meets it, with the proof.

Cuts candidates out of the teacher by depth, width and vocabulary; measures on this machine, untrained, which
of them can be small and fast enough; trains those within the budget, half as many for longer each time; makes
the best ready in the fastest way that passes the gate; writes the smallest that meets the target, or else the
nearest, with proof.json and report.html. Exits with 1 where a term of the target is not met.

  distilbert compress --teacher big/ --train labelled.csv --target "agreement>=0.98, p50<=5ms" \
      --budget 1h --out small/
  distilbert compress --teacher big/ --train labelled.csv --text texts.jsonl --target "size<=20MB" \
      --budget 2h --out small/ --plan
  distilbert compress --teacher labels.jsonl --base bert/ --train labelled.csv --target "accuracy>=0.9" \
      --budget 30m --out small/
  distilbert verify small/
"""

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine, add_output, seconds
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.cli.tables import KINDS, add_columns, add_label_column, add_task, read_table
from distilbert.cli.teacher_flags import add_teacher, read_teacher
from distilbert.core.data.hub_tables import JUDGED
from distilbert.core.data.texts import TextFiles
from distilbert.core.recipe import Finetuning

if TYPE_CHECKING:
    from distilbert.compression.compressor import Compressed
    from distilbert.compression.plan import Plan
    from distilbert.core.tasks.examples import Examples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_teacher(parser, required=True)
    parser.add_argument(
        "--target",
        required=True,
        metavar="TERMS",
        help="what it is to come to, such as agreement>=0.98, p50<=5ms, size<=40MB; also p99, texts/s, "
        "speedup (over the teacher), memory, and the task's metrics",
    )
    parser.add_argument(
        "--train", required=True, metavar="FILE", help=f"examples with their answers: {KINDS}"
    )
    parser.add_argument(
        "--text",
        nargs="+",
        metavar="PATH",
        help="texts without labels, which only the teacher answers: files or folders; of pairs one table",
    )
    parser.add_argument(
        "--eval",
        metavar="FILE",
        help="examples that are held out: half choose, half decide (a fifth of --train)",
    )
    parser.add_argument(
        "--budget", type=seconds, required=True, metavar="TIME", help="for the whole, such as 30m or 2h"
    )
    parser.add_argument("--plan", action="store_true", help="measure, say what would be done, and stop")
    add_task(parser)
    add_columns(parser)
    add_label_column(parser)
    add_output(parser, what="the model")
    parser.add_argument("--resume", action="store_true", help="go on where a run was interrupted")
    group = parser.add_argument_group("candidates")
    group.add_argument(
        "--base", metavar="MODEL", help="a BERT or DistilBERT to cut them from (the teacher, where it is one)"
    )
    group.add_argument("--layers", type=int, nargs="+", metavar="N", help="depths to try")
    group.add_argument("--dims", type=int, nargs="+", metavar="D", help="widths to try")
    group.add_argument(
        "--vocabulary",
        choices=("trimmed", "whole"),
        default="trimmed",
        help="to the texts, letters kept (%(default)s), or the base's",
    )
    group.add_argument(
        "--runtimes", nargs="+", choices=("onnx", "openvino"), help="to try (all that are installed)"
    )
    group.add_argument("--seconds", type=float, default=2.0, help="that each is measured (%(default)s)")
    group.add_argument("--hourly-price", type=float, metavar="P", help="of this machine, for the report")
    add_recipe(parser, Finetuning)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> int:
    from distilbert.compression.compressor import Compressor
    from distilbert.compression.target import Target

    target = Target.parse(args.target)  # before anything is read
    train = read_table(args, args.train, task=args.task)
    judged = read_table(args, args.eval, task=train.task, splits=JUDGED) if args.eval else None
    recipe = read_recipe(args, Finetuning)
    compressor = Compressor(
        read_teacher(args) or args.teacher,
        target=target,
        base=args.base,
        layers=args.layers,
        dims=args.dims,
        vocabulary=args.vocabulary,
        runtimes=args.runtimes,
        recipe=recipe,
        device=args.device,
        seconds=args.seconds,
        seed=recipe.seed,
        progress=display.progress,
    )
    how: dict[str, Any] = {
        "out": args.out,
        "budget": args.budget,
        "texts": _texts(args, train),
        "evaluate": judged,
        "force": args.force,
        "resume": args.resume,
    }
    if args.plan:
        _show_plan(compressor.plan(train, **how), args, display)
        return 0
    done = compressor.run(
        train, **how, command=shlex.join(["distilbert", *args.words]), price=args.hourly_price
    )
    _show(done, args, display)
    return 0 if done.met else 1


def _texts(args: argparse.Namespace, train: "Examples") -> Any:
    if not args.text:
        return ()
    if "text_b" in train.columns:
        return read_table(args, args.text[0], task=train.task, labelled=False)
    return list(TextFiles(args.text, column=args.columns.get("text") or args.text_column))


def _show_plan(plan: "Plan", args: argparse.Namespace, display: Display) -> None:
    from distilbert.report.compression import PLAN_COLUMNS, plan_rows

    if not display.json:
        display.table(PLAN_COLUMNS, plan_rows(plan.as_dict()), title="Candidates, measured untrained")
    rungs = "; then ".join(
        f"{rung.count} for {min(rung.steps.values()):,} to {max(rung.steps.values()):,} steps"
        for rung in plan.rungs
    )
    display.result(
        f"To be trained: {rungs}.\nExpected: {plan.expected_seconds / 60:.1f} of {args.budget / 60:.1f} "
        f"minutes, of which {plan.spent / 60:.1f} were spent on this plan; --resume goes on with it.",
        plan.as_dict(),
    )


def _show(done: "Compressed", args: argparse.Namespace, display: Display) -> None:
    from distilbert.report.compression import FRONTIER_COLUMNS, frontier_rows, target_rows

    facts = done.facts
    if not display.json:
        display.table(FRONTIER_COLUMNS, frontier_rows(facts), title="What was trained, the chosen one first")
        display.table(("target", "found", "95% interval", ""), target_rows(facts))
    lines = [f"{term}: {said}" for term, said in facts["remedies"].items()]
    verdict = "meets the target" if done.met else f"does not meet {', '.join(map(str, done.unmet))}"
    display.result(
        "\n".join(
            [
                f"{args.out}: {facts['chosen']['shape']['layers']} layers, "
                f"computed by {facts['computed_by']}; it {verdict}.",
                *lines,
                f"Next: distilbert verify {args.out}",
            ]
        ),
        {name: value for name, value in facts.items() if name != "plan"},
    )
