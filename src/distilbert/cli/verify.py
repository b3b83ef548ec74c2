"""Repeat the measurements of a compressed model's proof on this machine, and compare.

Files and rows must be the same, answers and what is counted of them exactly, times and memory within the
interval that was proven or better. Exits with 1 where anything is not.

  distilbert verify small/
"""

import argparse

from distilbert.cli.display import Display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="a folder that compress wrote")
    parser.add_argument("--seconds", type=float, default=5.0, help="that speed is measured (%(default)s)")


def needs_framework(args: argparse.Namespace) -> bool:
    """Whether a framework is to be loaded before the command begins."""
    return False


def run(args: argparse.Namespace, display: Display) -> int:
    from distilbert.compression.proof import verify

    checks = verify(args.model, seconds=args.seconds, progress=display.progress)
    failed = [check.what for check in checks if not check.holds]
    if not display.json:
        rows = [[c.what, c.proven, c.found, "holds" if c.holds else "FAILS"] for c in checks]
        display.table(("", "proven", "found here", ""), rows)
    told = f"fails in {', '.join(failed)}" if failed else "holds"
    display.result(
        f"{args.model}: the proof {told}.", {"holds": not failed, "checks": [vars(check) for check in checks]}
    )
    return 1 if failed else 0
