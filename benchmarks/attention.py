"""The two tables of the published DistilBERT page: what does fused attention gain, in time and in memory?

Masked language modelling at the published size with random weights, ours and the peer's (the same ones):
training at batch 1 to 8 and length 128 and 256, inference at batch 2 to 16 and length 64 and 128, eager
against sdpa. Beside full rows, as the page has them, stand ragged ones of the same shape, whose lengths
rise evenly to the full one: there ours leaves padding out. Last, DistilBERT against BERT-base, both ours.

As on the page, training is ``logits.sum().backward()`` with dropout and without an optimiser, and a mask is
given; memory is a run's peak with the weights. In ratios it is the peak beyond the weights.

  python benchmarks/attention.py            seven rounds, some seventeen minutes on two cores
  python benchmarks/attention.py --quick    two small shapes of each table, three rounds
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from measuring import Work, apart, conclude, in_turn, peak_bytes, peer, row, say, table

from distilbert import BertConfig, BertModel, DistilBertConfig, DistilBertForMaskedLM, DistilBertModel

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
#: The page's on CUDA. A CPU has no fast form of it.
DTYPE = torch.float16 if DEVICE.type == "cuda" else torch.float32
IMPLEMENTATIONS = ("eager", "sdpa")
CONTROL = ("peer again", "sdpa")

#: Time in s or ms and peak memory in MB, eager and sdpa, by batch and length, as the page gives them:
#: float16 on an NVIDIA GeForce RTX 2060 with PyTorch 2.3.1. Its latencies are not a batch's time over its
#: tokens, which would fall as batches grow; it does not say what they are over.
PUBLISHED = {
    "training": {
        (1, 128): (0.010, 0.008, 397.038, 399.629),
        (1, 256): (0.011, 0.009, 412.505, 412.606),
        (2, 128): (0.011, 0.009, 412.213, 412.606),
        (2, 256): (0.015, 0.013, 427.491, 425.787),
        (4, 128): (0.015, 0.013, 427.491, 425.787),
        (4, 256): (0.025, 0.022, 594.156, 502.745),
        (8, 128): (0.023, 0.022, 545.922, 502.745),
        (8, 256): (0.046, 0.041, 983.450, 798.480),
    },
    "inference": {
        (2, 64): (0.032, 0.025, 154.532, 155.531),
        (2, 128): (0.033, 0.025, 157.286, 157.482),
        (4, 64): (0.032, 0.026, 157.023, 157.449),
        (4, 128): (0.034, 0.028, 162.794, 162.269),
        (8, 64): (0.035, 0.028, 160.958, 162.204),
        (8, 128): (0.052, 0.046, 173.155, 171.844),
        (16, 64): (0.051, 0.045, 172.106, 171.713),
        (16, 128): (0.096, 0.081, 191.257, 191.517),
    },
}
#: The page's speed-ups and savings in per cent, of figures that it rounded for its tables.
PUBLISHED_GAINS = {
    "training": {
        (1, 128): (28.870, -0.649),
        (1, 256): (20.681, -0.025),
        (2, 128): (23.741, -0.095),
        (2, 256): (16.502, 0.400),
        (4, 128): (13.828, 0.400),
        (4, 256): (12.882, 18.182),
        (8, 128): (8.010, 8.588),
        (8, 256): (12.763, 23.165),
    },
    "inference": {
        (2, 64): (28.192, -0.642),
        (2, 128): (32.636, -0.125),
        (4, 64): (24.783, -0.271),
        (4, 128): (19.299, 0.323),
        (8, 64): (25.105, -0.768),
        (8, 128): (12.375, 0.763),
        (16, 64): (12.882, 0.229),
        (16, 128): (18.524, -0.136),
    },
}
QUICK = {"training": ((1, 128), (2, 128)), "inference": ((2, 64), (4, 64))}
#: The page's count of steps or batches on a GPU. On a CPU a round takes as many as make so many tokens.
PUBLISHED_COUNT = {"training": 100, "inference": 50}
TOKENS_A_ROUND = {"training": 256, "inference": 512}
HEADERS = {
    "training": [
        *("num_training_steps", "batch_size", "seq_len", "is_cuda", "Time per batch (eager - s)"),
        *("Time per batch (sdpa - s)", "Speedup (%)", "Eager peak mem (MB)", "sdpa peak mem (MB)"),
        "Mem saving (%)",
    ],
    "inference": [
        *("num_batches", "batch_size", "seq_len", "is_cuda", "Per token latency eager (ms)"),
        *("Per token latency SDPA (ms)", "Speedup (%)", "Mem eager (MB)", "Mem BT (MB)"),
        "Mem saved (%)",
    ],
}


@dataclass(frozen=True)
class Case:
    """A table's name, a shape, and whether its rows are ragged."""

    mode: str
    batch: int
    length: int
    ragged: bool = False

    def __str__(self) -> str:
        return f"{self.mode} {self.batch} x {self.length}, {'ragged' if self.ragged else 'full'} rows"

    @property
    def lengths(self) -> list[int]:
        if not self.ragged:
            return [self.length] * self.batch
        return [self.length * (i + 1) // self.batch for i in range(self.batch)]

    @property
    def times(self) -> int:
        """How many steps or batches are timed at once."""
        if DEVICE.type == "cuda":
            return PUBLISHED_COUNT[self.mode]
        return max(1, TOKENS_A_ROUND[self.mode] // (self.batch * self.length))

    def inputs(self) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        input_ids = torch.randint(1000, 30_000, (self.batch, self.length), generator=generator)
        mask = torch.arange(self.length) < torch.tensor(self.lengths)[:, None]
        return {"input_ids": (input_ids * mask).to(DEVICE), "attention_mask": mask.long().to(DEVICE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small shapes of each, three rounds")
    args = parser.parse_args()
    rounds = 3 if args.quick else 7
    say("memory, in a process of its own")
    peaks = apart(memory, args.quick)
    found = models()
    warm_up(found)
    times = {}
    for case in cases(args.quick):
        say(str(case))
        # The first round at a shape may be slow; it is one of several, of which the middle one counts.
        work = with_control(contestants(found, case))
        times[case] = in_turn(work, rounds=rounds, times=case.times)
    weights = sum(p.numel() * p.element_size() for p in found["ours", "sdpa"].parameters())
    for mode in PUBLISHED:
        published_columns(mode, times, peaks, weights / 1e6, rounds)
    rows = side_by_side(times, peaks)
    del found
    rows += against_bert(rounds)
    if args.quick:
        rows = [{**made, "case": f"{made['case']}, quick"} for made in rows]
    conclude("attention", rows, ("torch", "transformers", "numpy"))


def cases(quick: bool) -> list[Case]:
    shapes = [(mode, *shape) for mode, published in PUBLISHED.items() for shape in published]
    if quick:
        shapes = [shape for shape in shapes if shape[1:] in QUICK[shape[0]]]
    full = [Case(*shape) for shape in shapes]
    return [case for each in full for case in (each, Case(each.mode, each.batch, each.length, ragged=True))
            if len(set(case.lengths)) > 1 or not case.ragged]  # fmt: skip


def models() -> dict[tuple[str, str], Any]:
    """By whose they are and their attention, all with the same weights."""
    transformers = peer()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        DistilBertForMaskedLM(DistilBertConfig()).save_pretrained(folder)
        return {
            (whose, name): made.from_pretrained(folder, attn_implementation=name, dtype=DTYPE).to(DEVICE)
            for name in IMPLEMENTATIONS
            for whose, made in (
                ("ours", DistilBertForMaskedLM),
                ("peer", transformers.DistilBertForMaskedLM),
            )
        }


def contestants(found: dict[tuple[str, str], Any], case: Case) -> dict[tuple[str, str], Work]:
    """What is run, by whose it is and its attention. Of ragged rows only sdpa."""
    inputs = case.inputs()
    run = step if case.mode == "training" else forward
    return {
        key: partial(run, model, inputs) for key, model in found.items() if not case.ragged or "sdpa" in key
    }


def with_control(work: dict[tuple[str, str], Work]) -> dict[tuple[str, str], Work]:
    """The peer once more, in turns of its own: what it differs from itself by is this machine's noise."""
    return {**work, CONTROL: work["peer", "sdpa"]}


def step(model: Any, inputs: dict[str, torch.Tensor]) -> None:
    model.train()
    model(**inputs).logits.sum().backward()
    model.zero_grad()  # gradients are the step's, and no other's


@torch.no_grad()
def forward(model: Any, inputs: dict[str, torch.Tensor]) -> None:
    model.eval()
    model(**inputs)


def warm_up(found: dict[tuple[str, str], Any]) -> None:
    """What libraries set up once is no case's."""
    for run in contestants(found, Case("training", 1, 128)).values():
        run()


def memory(quick: bool) -> dict[Case, dict[tuple[str, str], float]]:
    """Peaks beyond the weights, in MB."""
    found = models()
    warm_up(found)
    peaks = {}
    for case in cases(quick):
        work = contestants(found, case)
        # The least of two: what a library sets up for a shape is in the first.
        peaks[case] = {name: min(peak_bytes(run) for _ in range(2)) / 1e6 for name, run in work.items()}
    return peaks


def published_columns(mode: str, times: Any, peaks: Any, weights: float, rounds: int) -> None:
    """The page's table of ours, of the peer, and as published."""
    print(f"\n{mode}, {str(DTYPE).removeprefix('torch.')}; medians of {rounds} rounds")
    rows = []
    full = [case for case in times if case.mode == mode and not case.ragged]
    for whose in ("ours", "peer"):
        for case in full:
            # The page's unit: seconds a batch, or milliseconds; ours are over the batch's tokens.
            unit = 1.0 if mode == "training" else 1000 / (case.batch * case.length)
            eager, sdpa = (unit * statistics.median(times[case][whose, name]) for name in IMPLEMENTATIONS)
            held = [weights + peaks[case][whose, name] for name in IMPLEMENTATIONS]
            gains = 100 * (eager / sdpa - 1), 100 * (held[0] / held[1] - 1)
            rows.append(cells(whose, case.times, case, DEVICE.type == "cuda", (eager, sdpa, *held), gains))
    for case in full:
        shape = case.batch, case.length
        figures, gains = PUBLISHED[mode][shape], PUBLISHED_GAINS[mode][shape]
        # The page says "False" in the one table and "True" in the other, both of the GPU that it names.
        rows.append(cells("page", PUBLISHED_COUNT[mode], case, mode == "inference", figures, gains))
    table(["", *HEADERS[mode]], rows)


def cells(
    whose: str, count: int, case: Case, cuda: bool, figures: tuple[float, ...], gains: tuple[float, float]
) -> list[str]:
    eager, sdpa, *held = figures
    return [
        whose, str(count), str(case.batch), str(case.length), str(cuda),
        f"{eager:.3f}", f"{sdpa:.3f}", f"{gains[0]:.3f}", *(f"{mb:.3f}" for mb in held), f"{gains[1]:.3f}",
    ]  # fmt: skip


def side_by_side(times: Any, peaks: Any) -> list[dict[str, Any]]:
    """Ours against the peer, with the same attention: for programs, and as a table."""
    rows, shown = [], []
    for case, (whose, name) in ((case, key) for case, found in times.items() for key in found):
        if whose != "ours":
            continue
        what, other = f"{case}, {name}", f"transformers {name}"
        seconds = [times[case][side, name] for side in ("ours", "peer")]
        ours, theirs = map(statistics.median, seconds)
        time = row(what, "seconds", ours, other, theirs, target=0.97)
        held = row(what, "peak_mb", peaks[case]["ours", name], other, peaks[case]["peer", name], target=1.0)
        rows += [time, held]
        each = [b / a for a, b in zip(*seconds, strict=True)]
        live = sum(case.lengths) / (case.batch * case.length)
        shown.append(
            [what, f"{live:.0%}", f"{ours:.3f}", f"{theirs:.3f}", f"{time['ratio']:.2f}",
             f"{min(each):.2f}-{max(each):.2f}", f"{held['ours']:.1f}", f"{held['peer_value']:.1f}",
             f"{held['ratio']:.3f}"]
        )  # fmt: skip
    print("\nOurs against the peer, medians and peaks beyond the weights; a ratio above 1 is for ours")
    print(noise(times, rows))
    most = max(made["ours"] - made["peer_value"] for made in rows if made["metric"] == "peak_mb")
    print(
        "Of ragged rows ours holds the states end to end and in rows at once, beside the logits, which are "
        f"by far the largest: {most:.1f} MB at most."
    )
    header = ("", "live", "ours s", "peer s", "ratio", "by round", "ours MB", "peer MB", "ratio")
    table(header, shown)
    return rows


def noise(times: Any, rows: list[dict[str, Any]]) -> str:
    """What the peer differs from itself by, and ours from it over all full shapes together."""
    control = [
        statistics.median(found[CONTROL]) / statistics.median(found["peer", "sdpa"])
        for found in times.values()
    ]
    full = [r["ratio"] for r in rows if r["metric"] == "seconds" and "full" in r["case"]]
    return (
        f"The peer against itself, in turns of its own: {min(control):.2f} to {max(control):.2f} by shape.\n"
        f"Ours against the peer over all {len(full)} full shapes together (geometric mean): "
        f"{statistics.geometric_mean(full):.3f}"
    )


@torch.no_grad()
def against_bert(rounds: int) -> list[dict[str, Any]]:
    """DistilBERT against the BERT of twice the layers, encoders without heads, both ours."""
    say("against BERT-base")
    student, teacher = (
        made.to(DEVICE, DTYPE).eval()
        for made in (DistilBertModel(DistilBertConfig()), BertModel(BertConfig()))
    )
    counts = [sum(p.numel() for p in model.parameters()) for model in (student, teacher)]
    rows = [row("parameters", "parameters", counts[0], "our BERT-base", counts[1], target=1 / (1 - 0.39))]
    print(f"\nDistilBERT against BERT-base, both ours: {counts[0]:,} parameters for {counts[1]:,}, "
          f"{1 - counts[0] / counts[1]:.2%} fewer (the paper: 40%)")  # fmt: skip
    for batch, length in ((1, 128), (8, 128)):
        case = Case("inference", batch, length)
        inputs = case.inputs()
        work: dict[str, Work] = {
            name: partial(forward, model, inputs)
            for name, model in (("DistilBERT", student), ("BERT", teacher))
        }
        for run in work.values():
            run()
        found = in_turn(work, rounds=rounds, times=case.times)
        ours, other = (statistics.median(found[name]) for name in work)
        made = row(f"encoder {batch} x {length}", "seconds", ours, "our BERT-base", other, target=1.6)
        print(f"{made['case']}: {ours:.3f} s for {other:.3f} s, {made['ratio']:.2f} times as fast (1.60)")
        rows.append(made)
    return rows


if __name__ == "__main__":
    main()
