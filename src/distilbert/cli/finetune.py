"""Make of a model one that answers, from a table of examples.

Classes of texts or pairs, several labels at once, numbers, one of several options, tags of words, answers out
of a context: the columns tell which.
With a teacher its answers are learnt too, also on examples without labels: a model fine-tuned for the same,
and of single texts with one label each a file of labels or probabilities, an entailment model, or a chat
model on a server; with --eval both are judged, and how often they agree.

  distilbert finetune --model student/ --train train.csv --eval test.csv --out classifier/
  distilbert finetune --model student/ --train train.csv --teacher big/ --unlabelled more.txt --out small/
  distilbert finetune --model student/ --train train.csv --teacher labels.jsonl --eval test.csv --out small/
  distilbert finetune --model student/ --train train.csv --eval test.csv --seeds 5 --out one-of-five/
"""

import argparse
import os
from typing import Any

from distilbert.cli import managed
from distilbert.cli.backends import add_backend, job
from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_machine,
    add_output,
    add_run,
    how_to_run,
    refuse_taken,
    show_plan,
    write_report,
)
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.cli.tables import (
    KINDS,
    add_columns,
    add_label_column,
    add_misplaced,
    add_task,
    read_table,
    read_unlabelled,
)
from distilbert.cli.teacher_flags import add_teacher, read_teacher
from distilbert.core.data.hub_tables import JUDGED
from distilbert.core.facts import read_facts
from distilbert.core.recipe import Finetuning
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.reading import task_named
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.teachers.agreement import agreement_rows, counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a BERT or DistilBERT")
    parser.add_argument(
        "--train", required=True, metavar="FILE", help=f"examples with their answers: {KINDS}"
    )
    parser.add_argument("--eval", metavar="FILE", help="another such table, to judge the result by")
    add_teacher(parser)
    parser.add_argument("--unlabelled", metavar="FILE", help="examples that only the teacher answers")
    add_task(parser)
    add_columns(parser)
    add_label_column(parser)
    add_misplaced(parser)
    add_output(parser, what="the model")
    group = parser.add_argument_group("seeds")
    group.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds to compare (%(default)s)")
    group.add_argument(
        "--keep",
        choices=("best", "median"),
        default="best",
        help="which of their models is kept (%(default)s)",
    )
    group = parser.add_argument_group("managed jobs")
    group.add_argument(
        managed.FLAG,
        action="store_true",
        help="take --model, --train, --eval, --out and hyperparameters from the environment of a training "
        "job of SageMaker or Vertex AI, go on where one was interrupted, put the model where it belongs",
    )
    add_recipe(parser, Finetuning)
    add_run(parser)
    add_backend(parser)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.training.seeds import run_seeds

    if args.managed and managed.is_done(args.out):
        display.result(
            f"{managed.deliver(args.out)}: delivered, of a run that had ended.", read_facts(args.out)
        )
        return
    teacher = read_teacher(args)
    train = read_table(args, args.train, task=args.task)
    judged = read_table(args, args.eval, task=train.task, splits=JUDGED) if args.eval else None
    unlabelled = read_unlabelled(args, train) if args.unlabelled else []
    finetuner = job(args, "finetune").Finetuner(
        args.model,
        teacher=teacher,
        recipe=read_recipe(args, Finetuning),
        device=args.device,
        progress=display.progress,
    )
    if args.dry_run:
        refuse_taken(args)
        plan = finetuner.rehearse(train, unlabelled=unlabelled, evaluate=judged)
        show_plan(plan.facts(), display)
        return
    how = {"unlabelled": unlabelled, "evaluate": judged, **how_to_run(args)}
    if args.seeds > 1:
        done = run_seeds(finetuner, train, seeds=args.seeds, keep=args.keep, **how)
    else:
        done = finetuner.run(train, **how)
    place = managed.deliver(args.out) if args.managed and _is_first() else args.out
    write_report(args, done)
    facts = done.facts
    score = ""
    if "evaluation" in facts:
        name, first = next(iter(facts["evaluation"].items()))
        score = (
            f" {name.replace('_', ' ').capitalize()} {first['value']:.3f} "
            f"(95% interval {first['low']:.3f} to {first['high']:.3f}) on {args.eval or 'held-out examples'}."
        )
    if "seeds" in facts:
        found = facts["seeds"]
        score += (
            f" Of {len(found['values'])} seeds: median {found['median']:.3f}, standard deviation "
            f"{found['spread']:.3f}; kept is seed {found['kept']}."
        )
    if "agreement" in facts and not args.json:
        _show_agreement(facts["agreement"], display, args.eval or "held-out examples")
    display.result(
        f"{place}: trained in {facts['training']['seconds']:.0f} s for {train.task}.{score}\n"
        f"Next: distilbert {_next(place, train)}",
        facts,
    )


def _is_first() -> bool:
    """Of several processes, the one that writes."""
    return os.environ.get("RANK", "0") == "0"


def _next(model: object, train: Examples) -> str:
    """What the model could be given."""
    if train.task == SentenceEmbedding.name:
        return f"embed --model {model} --text texts.txt --out vectors.npy"
    return f"predict --model {model} {_example(train)}"


def _example(train: Examples) -> str:
    given = [name for name in task_named(train.task).inputs if name in train.columns]
    return '"some text"' if given == ["text"] else f"--file rows.jsonl   (columns {', '.join(given)})"


def _show_agreement(found: dict[str, Any], display: Display, gold: str) -> None:
    title = counted(found, gold)
    if found["rows"]:
        display.table(["", "value", "95% interval"], agreement_rows(found), title=title)
    else:
        display.result(f"{title}.", None)
