"""Distil, fine-tune and report on real parts, without a network: the whole way in minutes.

Takes the pretrained BERT of an installed package, the documentation of the libraries on this machine,
and a task made of it; makes a student of half the layers, and judges it beside its teacher and beside
a student that was not taught. Writes models, data, report.json and report.html.

  distilbert quickstart
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", default="distilbert-quickstart", metavar="DIR", help="the folder to write (%(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="replace an earlier quickstart")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is drawn (0)")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="a run of seconds that shows that everything works; its figures mean nothing",
    )
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.quickstart import page
    from distilbert.quickstart.run import quickstart
    from distilbert.quickstart.settings import FULL, SMOKE

    report = quickstart(
        args.out,
        SMOKE if args.smoke else FULL,
        seed=args.seed,
        force=args.force,
        device=args.device,
        progress=display.progress,
    )
    if args.json:
        display.result("", report)
        return
    display.table(page.SCORE_COLUMNS, page.score_rows(report))
    display.table(page.COST_COLUMNS, page.cost_rows(report))
    answers = [[p["text"], p["label"], f"{p['score']:.0%}"] for p in report["predictions"]]
    display.table(("never seen before", "the student says", ""), answers)
    lines = [
        *page.findings(report),
        page.extra_cost(report),
        f"All of it took {report['seconds']['total'] / 60:.1f} minutes. "
        f"The report to look at: {args.out}/report.html",
        "",
        "Next, on your own files:",
        *(f"  {command}" for command in page.NEXT_COMMANDS),
    ]
    display.result("\n".join(lines), report)
