"""Does the quickstart teach what is true? The whole of it under several seeds, and its parts.

Each seed is a run of its own, in its own process, with its own split, labels, masks and weights. Beside its
student stand three others, each with one thing taken away or given: which part of the gain is whose? A
seed's figures are kept, so that a study that is stopped goes on where it was.

  python benchmarks/quickstart.py            five seeds, about seven minutes each
  python benchmarks/quickstart.py --quick    one smoke run, to see that it works
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import when

from distilbert import Finetuner, LabelledTexts, evaluate
from distilbert.core.data.sources import read_texts
from distilbert.core.recipe import Finetuning
from distilbert.quickstart.settings import FULL, SMOKE

#: What the student was given, and what stands in for it: a start, whether it is taught, and the labels-only
#: control's steps, by which it has computed as much as the student.
PARTS = {
    "distilled, not taught": ("student-lm", False, 1.0),
    "taught, not distilled": ("control-lm", True, 1.0),
    "neither, as much compute": ("control-lm", False, 2.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="how many (5)")
    parser.add_argument("--quick", action="store_true", help="one smoke run; its figures mean nothing")
    parser.add_argument("--cells", type=Path, default=Path("build/quickstart-study"), help="kept reports")
    args = parser.parse_args()
    cells = args.cells / "quick" if args.quick else args.cells
    cells.mkdir(parents=True, exist_ok=True)
    reports = [one(seed, cells, smoke=args.quick) for seed in range(1 if args.quick else args.seeds)]
    show(reports, case="smoke" if args.quick else f"{len(reports)} seeds")


def one(seed: int, cells: Path, *, smoke: bool) -> dict:
    """The report of one seed, with the time and the memory that the command took."""
    cell = cells / f"seed-{seed}.json"
    if cell.exists():
        return json.loads(cell.read_text())
    print(f"seed {seed} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", TIMED, "--out", f"{folder}/out", "--seed", str(seed)]
        run = subprocess.run(
            command + ["--smoke"] * smoke + ["--quiet", "--json"], capture_output=True, text=True, check=False
        )
        if run.returncode:
            sys.exit(run.stderr)
        *lines, usage = run.stdout.splitlines()
        report = {**json.loads("\n".join(lines)), "command": json.loads(usage)}
        report["parts"] = parts(Path(folder) / "out", (SMOKE if smoke else FULL).with_seed(seed).finetune)
    report.pop("curves")
    cell.write_text(json.dumps(report))
    return report


def parts(folder: Path, recipe: Finetuning) -> dict[str, float]:
    """Test accuracy of the students that the quickstart does not make, from what it wrote."""
    labelled, test = (LabelledTexts.read(folder / "data" / name) for name in ("labelled.csv", "test.csv"))
    unlabelled = list(read_texts(folder / "data" / "unlabelled.txt"))
    found = {}
    for name, (start, taught, share) in PARTS.items():
        finetuner = Finetuner(
            folder / start,
            teacher=folder / "teacher" if taught else None,
            recipe=recipe.with_changes(steps=round(share * recipe.steps)),
        )
        finetuner.run(labelled, unlabelled=unlabelled if taught else (), out=folder / name)
        found[name] = evaluate(folder / name, test)["accuracy"]["value"]
    return found


#: The command as a user runs it, and what the system says that it took.
TIMED = """
import json, resource, sys, time
started = time.perf_counter()
from distilbert.cli.main import main
status = main(["quickstart", *sys.argv[1:]])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": time.perf_counter() - started, "peak_bytes": peak}))
sys.exit(status)
"""


def show(reports: list[dict], *, case: str) -> None:
    """A table for people, and a last line for programs."""
    print(
        f"{'seed':>4} {'teacher':>8} {'student':>8} {'control':>8} {'kept':>7} {'over control':>18} ", end=""
    )
    print(f"{'minutes':>8} {'GiB':>5}")
    for report in reports:
        scores = [report["scores"][name]["accuracy"]["value"] for name in ("teacher", "student", "control")]
        ahead = report["student_over_control"]["accuracy"]
        used = report["command"]
        print(
            f"{report['seed']:>4} {scores[0]:>8.3f} {scores[1]:>8.3f} {scores[2]:>8.3f} "
            f"{report['retention']['accuracy']['value']:>7.1%} "
            f"{ahead['value']:>+6.3f} ({ahead['low']:+.3f} {ahead['high']:+.3f})"
            f"{used['seconds'] / 60:>8.1f} {used['peak_bytes'] / 2**30:>5.2f}"
        )
    machine = reports[0]["machine"]
    print(f"on {machine['cpu']}, {machine['cores']} cores ({', '.join(machine['isa'])}); {when()}")

    def scores(name: str) -> list[float]:
        return [report["scores"][name]["accuracy"]["value"] for report in reports]

    gaps = [s - c for s, c in zip(scores("student"), scores("control"), strict=True)]
    noise = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
    print(
        f"mean gain over the control {statistics.mean(gaps):+.3f}, standard error over the seeds {noise:.3f}"
    )
    for name in PARTS:
        gains = [report["parts"][name] - c for report, c in zip(reports, scores("control"), strict=True)]
        print(f"  {name:<26} {statistics.mean(gains):+.3f} over the control")
    minutes = [report["command"]["seconds"] / 60 for report in reports]
    memory = [report["command"]["peak_bytes"] / 2**30 for report in reports]
    rows = [
        row(case, "accuracy", scores("student"), "the fine-tuned teacher", scores("teacher"), target=0.95),
        row(case, "accuracy", scores("student"), "the same start, not taught", scores("control"), target=1.0),
        *(
            row(case, "accuracy", scores("student"), name, [r["parts"][name] for r in reports], target=1.0)
            for name in PARTS
        ),
        row(case, "minutes", minutes, "the budget", [6.0], target=1.0, less=True),
        row(case, "peak_gib", memory, "the budget", [4.0], target=1.0, less=True),
    ]
    print(json.dumps({"benchmark": "quickstart", "machine": {**machine, "gpu": None}, "rows": rows}))


def row(
    case: str,
    metric: str,
    ours: list[float],
    peer: str,
    theirs: list[float],
    *,
    target: float,
    less: bool = False,
) -> dict:
    """Means over the seeds, and how many times better ours is (``less`` is better for times and memory)."""
    mine, other = statistics.mean(ours), statistics.mean(theirs)
    ratio = other / mine if less else mine / other
    return {
        "case": case,
        "metric": metric,
        "ours": mine,
        "peer": peer,
        "peer_value": other,
        "ratio": ratio,
        "target": target,
    }


if __name__ == "__main__":
    main()
