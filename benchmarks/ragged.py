"""Text of all lengths: what is it worth to compute no padding?

Sentences of film reviews, news and whole reviews, shuffled, through sequence classification at the
published size: with the same random weights ours and the peer's sdpa, in fp32 and bf16. Each contestant
gets every text once, in batches made beforehand, and says the same of it. The batches are run in turn, a
part of each contestant's at a time. Then training steps on the texts as they come, with AdamW and without
dropout, so that the losses can be compared.

  python benchmarks/ragged.py            a thousand texts, about fifteen minutes on two cores
  python benchmarks/ragged.py --quick    forty of them, one training step
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from measuring import DATA, apart, conclude, peak_bytes, peer, ragged_texts, row, say, seconds, table

import distilbert
from distilbert import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizerFast,
    PackedBatch,
    pack,
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LONGEST = 512
BATCH = 32
#: Tokens of a packed batch: as many as keep matrix products at their speed.
BUDGET = 2048
#: Texts of a training step.
STEP = 16
#: Into how many parts each contestant's batches are dealt.
PARTS = 7
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
OURS = ("ours, rows of 32 as they come", "ours, rows of 32, sorted", f"ours, packs of {BUDGET} tokens")
PEERS = ("peer, rows of 32 as they come", "peer, rows of 32, sorted", "peer, one by one")


@dataclass(frozen=True)
class Batch:
    """What a model is given, and which texts that is."""

    texts: Sequence[int]
    inputs: dict[str, Any]

    @property
    def places(self) -> int:
        """Of tokens, padding included."""
        ids = self.inputs["input_ids"]
        return ids.input_ids.size if isinstance(ids, PackedBatch) else ids.numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="forty texts, one training step")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    texts = mix(0.04 if args.quick else 1.0)
    tokens = sum(map(len, texts))
    case = f"{len(texts)} texts, {tokens} tokens" + (", quick" if args.quick else "")
    print(f"sst2 + ag_news + imdb: {case}, {min(map(len, texts))} to {max(map(len, texts))} each")
    rows = []
    for name in DTYPES:
        rows += forward(texts, name, case)
    rows += training(texts, 1 if args.quick else 7)
    conclude("ragged", rows, ("torch", "transformers", "tokenizers", "numpy"))


def mix(share: float) -> list[list[int]]:
    """The ids of texts of the three files, shuffled."""
    tokenizer = DistilBertTokenizerFast(str(DATA / "vocab" / "bert-base-uncased" / "vocab.txt"))
    texts = ragged_texts(share)
    return tokenizer(texts, truncation=True, max_length=LONGEST)["input_ids"]


def models(dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Ours and the peer's, with the same weights and without dropout."""
    transformers = peer()
    torch.manual_seed(0)
    config = DistilBertConfig(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    with tempfile.TemporaryDirectory() as folder:
        DistilBertForSequenceClassification(config).save_pretrained(folder)
        return tuple(
            made.DistilBertForSequenceClassification.from_pretrained(
                folder, attn_implementation="sdpa", dtype=dtype
            ).to(DEVICE)
            for made in (distilbert, transformers)
        )


def padded(texts: list[list[int]], order: Sequence[int], size: int) -> list[Batch]:
    made = []
    for start in range(0, len(order), size):
        which = order[start : start + size]
        longest = max(len(texts[i]) for i in which)
        input_ids, mask = (torch.zeros(len(which), longest, dtype=torch.long) for _ in range(2))
        for row_ids, row_mask, i in zip(input_ids, mask, which, strict=True):
            row_ids[: len(texts[i])] = torch.tensor(texts[i])
            row_mask[: len(texts[i])] = 1
        made.append(Batch(which, {"input_ids": input_ids.to(DEVICE), "attention_mask": mask.to(DEVICE)}))
    return made


def packed(texts: list[list[int]], order: Sequence[int]) -> list[Batch]:
    made: list[Batch] = []
    waiting: list[int] = []
    for i in order:
        if sum(len(texts[j]) for j in waiting) + len(texts[i]) > BUDGET:
            made.append(Batch(waiting, {"input_ids": pack([texts[j] for j in waiting])}))
            waiting = []
        waiting.append(i)
    return [*made, Batch(waiting, {"input_ids": pack([texts[j] for j in waiting])})]


def arranged(texts: list[list[int]]) -> dict[str, list[Batch]]:
    """Each contestant's batches. One text at a time costs the same in any order."""
    as_they_come = range(len(texts))
    by_length = sorted(as_they_come, key=lambda i: len(texts[i]))
    rows, in_order = padded(texts, as_they_come, BATCH), padded(texts, by_length, BATCH)
    ours = dict(zip(OURS, (rows, in_order, packed(texts, by_length)), strict=True))
    return ours | dict(zip(PEERS, (rows, in_order, padded(texts, as_they_come, 1)), strict=True))


@torch.no_grad()
def answers(model: Any, batches: Sequence[Batch], logits: torch.Tensor) -> None:
    """Put what a model says of the batches' texts into [texts, classes]."""
    for batch in batches:
        logits[list(batch.texts)] = model(**batch.inputs).logits.float().cpu()


def forward(texts: list[list[int]], dtype: str, case: str) -> list[dict[str, Any]]:
    say(f"{dtype}: memory, in a process of its own")
    peaks = apart(forward_memory, texts, dtype)
    ours, theirs = (model.eval() for model in models(DTYPES[dtype]))
    batches = arranged(texts)
    few = range(min(8, len(texts)))
    said = torch.zeros(3, len(texts), ours.config.num_labels)
    answers(theirs, padded(texts, few, 8), said[0])
    answers(ours, padded(texts, few, 8), said[1])
    answers(ours, packed(texts, few), said[2])
    agree(said[1:], said[0], dtype)
    logits = {name: torch.zeros_like(said[0]) for name in batches}
    spent: dict[str, list[float]] = {name: [] for name in batches}
    for part in range(PARTS):
        say(f"{dtype}: part {part + 1} of {PARTS}")
        for name, given in batches.items():
            model = ours if name in OURS else theirs
            run = partial(answers, model, given[part::PARTS], logits[name])
            spent[name].append(seconds(run))
    tokens = sum(map(len, texts))
    rates = {name: tokens / sum(spent[name]) for name in batches}
    shown = []
    for name, given in batches.items():
        parts = [
            sum(len(texts[i]) for batch in given[part::PARTS] for i in batch.texts) / spent[name][part]
            for part in range(PARTS)
            if given[part::PARTS]
        ]
        apart_by = float((logits[name] - logits[PEERS[-1]]).abs().max())
        places = sum(batch.places for batch in given)
        shown.append(
            [name, f"{tokens / places:.0%}", f"{rates[name]:.0f}", f"{min(parts):.0f}-{max(parts):.0f}",
             f"{len(texts) / sum(spent[name]):.1f}", f"{peaks[name]:.1f}", f"{apart_by:.1e}"]
        )  # fmt: skip
    print(f"\n{dtype}, forward; tokens are real ones, memory is the largest batch's beyond the weights")
    table(("", "live", "tokens/s", "by part", "texts/s", "peak MB", "logits apart"), shown)
    in_order = sum(batch.places for batch in batches[PEERS[1]]) / tokens
    print(
        f"{less_work(in_order, ours.config.n_layers):.2f} times less work than {PEERS[1]}, whatever its speed"
    )
    for name in batches:
        agree(logits[name], logits[PEERS[-1]], dtype)
    return compared(rates, peaks, f"{dtype}, forward, {case}")


def less_work(places_per_token: float, n_layers: int) -> float:
    """Than padded rows through whole layers: no padding, and of the last layer keys and values alone.

    Those are two of a layer's twelve products of the width's square. Attention is left out of it, and so is
    what the size of a product does to its speed.
    """
    return places_per_token * n_layers / (n_layers - 10 / 12)


def agree(logits: torch.Tensor, others: torch.Tensor, dtype: str) -> None:
    """Whatever is faster must also be right; bf16 rounds to three digits, differently for each."""
    difference = float((logits - others).abs().max())
    if difference > {"fp32": 1e-5, "bf16": 2e-2}[dtype]:
        sys.exit(f"The logits differ by {difference:.1e} in {dtype}.")


def forward_memory(texts: list[list[int]], dtype: str) -> dict[str, float]:
    """The peak of each contestant's largest batch, in MB."""
    ours, theirs = (model.eval() for model in models(DTYPES[dtype]))
    logits = torch.zeros(len(texts), ours.config.num_labels)
    peaks = {}
    for name, batches in arranged(texts).items():
        model = ours if name in OURS else theirs
        answers(model, padded(texts, [0], 1), logits)
        largest = max(batches, key=lambda batch: batch.places)
        peaks[name] = peak_bytes(partial(answers, model, [largest], logits)) / 1e6
    return peaks


def compared(rates: dict[str, float], peaks: dict[str, float], case: str) -> list[dict[str, Any]]:
    """Ours as the same batches, and the best of ours against the best of the peer."""
    best, best_peer = (max(names, key=rates.__getitem__) for names in (OURS, PEERS))
    rows = []
    for mine, other, target in ((best, best_peer, 1.3), (OURS[0], PEERS[0], 5.0), (OURS[1], PEERS[1], 1.0)):
        rows.append(
            row(f"{mine}: {case}", "tokens_per_s", rates[mine], f"transformers sdpa: {other}", rates[other],
                target=target, more=True)
        )  # fmt: skip
    for mine, other in zip(OURS[:2], PEERS[:2], strict=True):
        rows.append(
            row(
                f"{mine}: {case}",
                "peak_mb",
                peaks[mine],
                f"transformers sdpa: {other}",
                peaks[other],
                target=1.0,
            )
        )
    tell(rows)
    return rows


def tell(rows: list[dict[str, Any]]) -> None:
    for made in rows:
        what = f"{made['case'].split(':')[0]}, {made['metric']}"
        print(f"{what}: {made['ratio']:.2f} times {made['peer']} (target {made['target']:.2f})")


class Learner:
    """A model and its optimiser, and the losses of its steps."""

    def __init__(self, model: Any) -> None:
        self.model = model.train()
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
        self.losses: list[float] = []

    def step(self, batch: Batch) -> None:
        generator = torch.Generator().manual_seed(batch.texts[0])
        labels = torch.randint(0, 2, (len(batch.texts),), generator=generator).to(DEVICE)
        loss = self.model(**batch.inputs, labels=labels).loss
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.losses.append(float(loss.detach()))


def training(texts: list[list[int]], steps: int) -> list[dict[str, Any]]:
    """Steps on texts as they come, one of ours and one of the peer's in turn, in fp32."""
    say("training: memory, in a process of its own")
    peaks = apart(training_memory, texts)
    learners = dict(zip(("ours", "peer"), map(Learner, models()), strict=True))
    batches = padded(texts, range(len(texts)), STEP)[: steps + 1]
    for learner in learners.values():
        learner.step(batches[0])
    spent: dict[str, list[float]] = {name: [] for name in learners}
    for i, batch in enumerate(batches[1:], start=1):
        say(f"training: step {i} of {steps}")
        for name in list(learners)[:: -1 if i % 2 else 1]:
            spent[name].append(seconds(partial(learners[name].step, batch)))
    each = [b / a for a, b in zip(*spent.values(), strict=True)]
    gap = max(abs(a - b) for a, b in zip(*(learner.losses for learner in learners.values()), strict=True))
    print(f"\nfp32, training steps of {STEP} texts as they come, {steps} of them after one to warm up")
    table(
        ("", "median s", "least", "most", "peak MB"),
        [
            [
                name,
                *(f"{x:.3f}" for x in (statistics.median(taken), min(taken), max(taken))),
                f"{peaks[name]:.1f}",
            ]
            for name, taken in spent.items()
        ],
    )
    print(f"losses at most {gap:.1e} apart; ratios of single steps {min(each):.2f} to {max(each):.2f}")
    case = f"fp32, a training step, {STEP} texts as they come" + (", quick" if steps == 1 else "")
    rows = [
        row(case, "seconds", sum(spent["ours"]), "transformers sdpa", sum(spent["peer"]), target=1.5),
        row(case, "peak_mb", peaks["ours"], "transformers sdpa", peaks["peer"], target=1.0),
        row(case, "loss_apart", max(gap, 1e-9), "what is allowed", 1e-5, target=1.0),
    ]
    tell(rows)
    return rows


def training_memory(texts: list[list[int]]) -> dict[str, float]:
    """The peak of a step beyond the weights and what the optimiser keeps, in MB."""
    peaks = {}
    for name, model in zip(("ours", "peer"), models(), strict=True):
        learner = Learner(model)
        learner.step(padded(texts, [0], 1)[0])
        batch = padded(texts, range(STEP), STEP)[0]
        peaks[name] = peak_bytes(partial(learner.step, batch)) / 1e6
    return peaks


if __name__ == "__main__":
    main()
