"""Do our two tokenizers and the ``tokenizers`` library agree, on many more texts than the suite takes?

Texts are drawn from all of Unicode, mixed with what tokenizers stumble over, under nine settings and with
added tokens: the property test of the suite, once with each of many seeds. The published vocabularies lie
beside the project (``DISTILBERT_DATA``); without them the one of the quickstart's teacher is left.

  python benchmarks/agreement.py                 a million texts, about twenty minutes on two cores
  python benchmarks/agreement.py --texts 3000    as many as the suite takes
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from measuring import when

from distilbert.core.machine import describe_machine

ROOT = Path(__file__).resolve().parent.parent
TEST = "tests/core/text/test_agreement.py"
VOCABULARIES = ("uncased", "cased", "multilingual-cased")
#: Texts of one drawn example, as the test has them.
TEXTS = 16


#: Texts of one process: a library that draws examples remembers them.
AT_ONCE = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000_000, help="how many in all (a million)")
    parser.add_argument("--processes", type=int, default=2, help="at once (2)")
    args = parser.parse_args()
    each = math.ceil(args.texts / len(VOCABULARIES))
    parts = math.ceil(each / AT_ONCE)
    share = TEXTS * math.ceil(each / parts / TEXTS)  # whole examples
    work = [(name, seed, share) for seed in range(parts) for name in VOCABULARIES]
    started = time.perf_counter()
    found: dict[str, list[Part]] = {name: [] for name in VOCABULARIES}
    with ThreadPoolExecutor(args.processes) as pool:
        for i, part in enumerate(pool.map(run, *zip(*work, strict=True)), start=1):
            found[part.vocabulary].append(part)
            passed = time.perf_counter() - started
            left = passed / i * (len(work) - i) / 60
            print(f"{i} of {len(work)} parts, {left:.0f} minutes left", file=sys.stderr, flush=True)
    show(found, (time.perf_counter() - started) / 60)


@dataclass(frozen=True)
class Part:
    """Texts of one vocabulary and one seed: how many were drawn, whether all agreed, what the test said."""

    vocabulary: str
    texts: int
    agreed: bool
    told: str


def run(vocabulary: str, seed: int, texts: int) -> Part:
    """The property test with one vocabulary, in a process of its own."""
    test = f"{TEST}::test_any_text[{vocabulary}]"
    options = [
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--hypothesis-show-statistics",
        f"--hypothesis-seed={seed}",
    ]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *options, test],
        cwd=ROOT,
        # The test shares its count among the vocabularies.
        env={**os.environ, "DISTILBERT_CASES": str(texts * len(VOCABULARIES))},
        capture_output=True,
        text=True,
        check=False,
    )
    counts = re.findall(r"(\d+) passing, 0 failing", told.stdout)
    return Part(vocabulary, TEXTS * sum(map(int, counts)), told.returncode == 0, told.stdout)


def show(found: dict[str, list[Part]], minutes: float) -> None:
    """A table for people, and a last line for programs."""
    print(f"{'vocabulary':<20} {'texts':>9}  in Python, over the library, the library itself")
    rows = []
    for name, parts in found.items():
        texts = sum(part.texts for part in parts)
        failed = [part for part in parts if not part.agreed]
        said = "no disagreement" if not failed else f"{len(failed)} of {len(parts)} parts disagree"
        if not texts:
            said = parts[0].told.strip().splitlines()[-1]
        print(f"{name:<20} {texts:>9,}  {said}")
        rows.append(
            {"case": name, "metric": "disagreements", "ours": len(failed), "texts": texts, "target": 0}
        )
    machine = describe_machine()
    total = sum(row["texts"] for row in rows)
    print(
        f"{total:,} texts in {minutes:.0f} minutes, on {machine['cpu']}, {machine['cores']} cores; {when()}"
    )
    print(json.dumps({"benchmark": "agreement", "machine": {**machine, "gpu": None}, "rows": rows}))
    for part in (part for parts in found.values() for part in parts if not part.agreed):
        sys.exit(part.told)


if __name__ == "__main__":
    main()
