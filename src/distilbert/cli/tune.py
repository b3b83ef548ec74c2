"""Search a recipe for fine-tuning, by Ray Tune.

Tries recipes that differ in learning rate, batch, epochs and warm-up, or in what --search names; those that
are behind others of the same age are ended early. The first trial is the recipe that is begun with.
Writes recipe.toml, which finetune --recipe takes, and what was tried: trials.jsonl and tuning.html.

  distilbert tune --model student/ --train train.csv --eval dev.csv --out search/
  distilbert tune --model student/ --train train.csv --search learning_rate=1e-5..1e-3 --out search/
  distilbert finetune --model student/ --train train.csv --recipe search/recipe.toml --out classifier/
"""

import argparse
from pathlib import Path

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine, seconds
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.cli.tables import KINDS, add_columns, add_label_column, add_misplaced, add_task, read_table
from distilbert.core.data.hub_tables import JUDGED
from distilbert.core.files import write_atomically
from distilbert.core.recipe import Finetuning
from distilbert.core.search import spelled

#: The page in a search's folder.
_PAGE = "tuning.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a BERT or DistilBERT")
    parser.add_argument(
        "--train", required=True, metavar="FILE", help=f"examples with their answers: {KINDS}"
    )
    parser.add_argument("--eval", metavar="FILE", help="another such table, to judge by (a tenth of --train)")
    add_task(parser)
    add_columns(parser)
    add_label_column(parser)
    add_misplaced(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the folder for the recipe and the trials"
    )
    parser.add_argument("--force", action="store_true", help="begin anew, although a search stands there")
    group = parser.add_argument_group("search")
    group.add_argument(
        "--search",
        nargs="+",
        metavar="FIELD=…",
        help="what varies: learning_rate=1e-5..1e-3 is a range, batch_size=16,32 are values",
    )
    group.add_argument("--trials", type=int, default=16, metavar="N", help="how many recipes (%(default)s)")
    group.add_argument(
        "--method",
        choices=("asha", "random"),
        default="asha",
        help="asha ends weak trials early (default); random runs all to their end",
    )
    group.add_argument("--at-once", type=int, default=1, metavar="N", help="trials at a time (%(default)s)")
    group.add_argument("--address", metavar="HOST", help="of a Ray cluster, or auto (this machine)")
    group.add_argument("--budget", type=seconds, metavar="TIME", help="for the whole, such as 30m or 2h")
    group.add_argument("--resume", action="store_true", help="go on with a search that was interrupted")
    add_recipe(parser, Finetuning)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.report.charts import require_charts
    from distilbert.report.tuning import trial_rows, tuning_page
    from distilbert.torch.tuning import RECIPE_FILE, tune

    require_charts()
    train = read_table(args, args.train, task=args.task)
    judged = read_table(args, args.eval, task=train.task, splits=JUDGED) if args.eval else None
    found = tune(
        args.model,
        train,
        out=args.out,
        evaluate=judged,
        space=spelled(args.search) if args.search else None,
        trials=args.trials,
        prune=args.method == "asha",
        recipe=read_recipe(args, Finetuning),
        at_once=args.at_once,
        address=args.address,
        budget=args.budget,
        device=args.device,
        force=args.force,
        resume=args.resume,
        progress=display.progress,
    )
    facts = found.facts()
    write_atomically(Path(args.out) / _PAGE, tuning_page(facts).encode())
    if not args.json:
        display.table(*trial_rows(facts), title=f"{len(found.trials)} trials, by {found.metric}")
    best = found.ranked[0]
    display.result(
        f"{args.out}: the best of {len(found.trials)} recipes has {found.metric.replace('_', ' ')} "
        f"{best.best:.4f}.\n"
        f"Next: distilbert finetune --model {args.model} --train {args.train} "
        f"--recipe {Path(args.out) / RECIPE_FILE} --out DIR",
        facts,
    )
