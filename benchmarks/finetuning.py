"""How fast is a model fine-tuned, and how much memory does it take?

A real pretrained BERT (all-MiniLM-L6-v2, 6 layers of width 384) learns short sentences and whole reviews: by
ours, and as the peer's model under its Trainer as it comes (examples shuffled, batches padded to their
longest) and with its `group_by_length`. Weights, examples, optimiser, schedule, precision and the number of
examples in a batch are the same. Round after round each contestant learns in turn, in every round under
another seed, and is judged by the same rows: so speed and score are of the same runs. Tokenising is in
nobody's time, collating is in everybody's. Memory is that of a whole run in a process of its own beyond the
weights, optimiser and all, on batches of which one is of the longest texts.

  python benchmarks/finetuning.py            some ten minutes on two cores
  python benchmarks/finetuning.py --quick    two steps, one round
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import apart, conclude, peak_bytes, row, say, table
from peer_training import PeerTraining
from study import Task, at_hand, compared, pretrained, shown

from distilbert import Finetuner, Finetuning, read_examples
from distilbert.core.tasks.examples import Examples
from distilbert.torch.device import computes_in_bf16, pick_device

OURS, PLAIN, GROUPED = CONTESTANTS = ("ours", "Trainer", "Trainer, group_by_length")
#: Of the peer, by contestant.
ORDERS = {PLAIN: "shuffled", GROUPED: "grouped"}


@dataclass(frozen=True)
class Case:
    """A task, in how many rounds it is learnt, its greatest length, and how much faster ours is to be."""

    task: Task
    rounds: int
    max_length: int
    target: float
    batch: int = 32


_TEXT = ("text", "label")
CASES = {
    "sst2": Case(Task(at_hand("sst2.train"), at_hand("sst2.dev"), "accuracy", 1600, 872, _TEXT), 5, 128, 1.5),
    "imdb": Case(
        Task(at_hand("imdb.train_2500"), at_hand("imdb.test_2500"), "accuracy", 256, 200, _TEXT), 3, 512, 1.3
    ),
}
QUICK = {
    name: replace(case, task=replace(case.task, rows=16, judged=8), rounds=1, max_length=128, batch=8)
    for name, case in CASES.items()
}


def recipe_of(case: Case) -> Finetuning:
    """One epoch; the last weights are what is judged."""
    return Finetuning(
        epochs=1,
        learning_rate=2e-4,
        batch_size=case.batch,
        micro_batch_size=case.batch,
        max_length=case.max_length,
        eval_share=0.0,
        looks_per_epoch=0.0,
    )


def learnt(who: str, train: Examples, test: Examples | None, recipe: Finetuning) -> tuple[float, float]:
    """The seconds that learning took, and what came of it; without ``test`` that is not asked."""
    if who == OURS:
        with tempfile.TemporaryDirectory() as place:
            run = Finetuner(pretrained(), recipe=recipe).run(train, evaluate=test, out=Path(place) / "model")
        score = run.facts["evaluation"]["accuracy"]["value"] if test is not None else 0.0
        return sum(run.log.seconds), score
    peers = PeerTraining(pretrained(), train, recipe, order=ORDERS[who])
    took = peers.train()
    return took, peers.scores(test, ["accuracy"])["accuracy"] if test is not None else 0.0


def rounds(case: Case, train: Examples, test: Examples) -> dict[str, list[tuple[float, float]]]:
    """Seconds and scores of each contestant; whoever goes first in a round goes last in the next."""
    found: dict[str, list[tuple[float, float]]] = {who: [] for who in CONTESTANTS}
    recipe = recipe_of(case)
    for who in CONTESTANTS:
        learnt(who, train, None, recipe.with_changes(steps=2))
    for seed in range(case.rounds):
        for who in CONTESTANTS[:: -1 if seed % 2 else 1]:
            found[who].append(learnt(who, train, test, recipe.with_changes(seed=seed)))
            say(f"  {who}, seed {seed}: {found[who][-1][0]:.1f} s, {found[who][-1][1]:.3f}")
    return found


def memory(path: str, case: Case) -> dict[str, int]:
    """The most that a run holds beyond the weights, in bytes."""
    train = read_examples(path)
    # A batch of the longest texts, and two of any.
    order = np.argsort([-len(text) for text in train.columns["text"]], kind="stable")
    longest, others = order[: case.batch], order[case.batch :]
    some = train.take([*longest.tolist(), *others[:: max(1, len(others) // (2 * case.batch))].tolist()])
    recipe, found = recipe_of(case), {}
    weights = sum(
        p.numel() * p.element_size() for p in PeerTraining(pretrained(), some, recipe).model.parameters()
    )
    for who in CONTESTANTS:
        learnt(who, some, None, recipe.with_changes(steps=1, batch_size=2))
    for who in CONTESTANTS:
        found[who] = peak_bytes(partial(learnt, who, some, None, recipe)) - weights
    return found


def lines_of(
    name: str, case: Case, found: dict[str, list[tuple[float, float]]], peaks: dict[str, int]
) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """A line for each contestant, and the comparisons for programs."""
    count = case.task.rows or 0
    speed = {who: count / statistics.median(took for took, _ in runs) for who, runs in found.items()}
    scores = {who: [score for _, score in runs] for who, runs in found.items()}
    lines, rows = [], []
    for who, runs in found.items():
        each = [theirs / ours for (theirs, _), (ours, _) in zip(runs, found[OURS], strict=True)]
        beside = ["", "", ""]
        if who != OURS:
            difference, verdict = compared(scores[OURS], scores[who])
            beside = [
                f"{speed[OURS] / speed[who]:.2f}",
                f"{min(each):.2f}-{max(each):.2f}",
                f"{difference} {verdict}".strip(),
            ]
        spread = statistics.stdev(scores[who]) if len(runs) > 1 else float("nan")
        lines.append(
            [f"{name}, {who}", f"{speed[who]:.1f}", *beside[:2], f"{peaks[who] / 1e6:.0f}",
             shown(statistics.mean(scores[who]), spread), beside[2]]
        )  # fmt: skip
    where = f"{name}, {count} examples, batches of {case.batch}"
    for who, target in ((PLAIN, case.target), (GROUPED, 1.0)):
        peer, mean = f"transformers {who}", {w: statistics.mean(of) for w, of in scores.items()}
        rows += [
            row(where, "examples_per_s", speed[OURS], peer, speed[who], target=target, more=True),
            row(where, "peak_mb", peaks[OURS] / 1e6, peer, peaks[who] / 1e6, target=1.0),
            row(where, "accuracy", mean[OURS], peer, mean[who], target=1.0, more=True),
        ]
    return lines, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two steps, one round")
    args = parser.parse_args()
    lines: list[list[str]] = []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, case in (QUICK if args.quick else CASES).items():
            paths = case.task.drawn(name, Path(folder))
            say(f"{name}: memory, in a process of its own")
            peaks = apart(memory, str(paths[0]), case)
            say(f"{name}: time, {case.rounds} rounds")
            train, test = map(read_examples, paths)
            own = lines_of(name, case, rounds(case, train, test), peaks)
            lines, rows = lines + own[0], rows + own[1]
    precision = "bf16" if computes_in_bf16(pick_device(), Finetuning().precision) else "fp32"
    print(f"{precision}, examples a second by medians of rounds; ± is the deviation between seeds")
    header = ("", "examples/s", "ours is faster by", "by round", "MB", "accuracy", "ours, differs by")
    table(header, lines)
    for made in rows:
        if made["metric"] != "accuracy":
            print(
                f"{made['case']}, {made['metric']}: {made['ratio']:.2f} times {made['peer']} "
                f"(target {made['target']})"
            )
    conclude("finetuning", rows, ("torch", "transformers", "tokenizers", "numpy"))


if __name__ == "__main__":
    main()
