"""JAX: what do ours and the peer's last Flax classes cost, the same weights and texts, each compiled?

Sequence classification at the published size with random weights, in fp32. Full rows of several shapes,
forward and as training steps with AdamW and without dropout; then ragged text. A function is compiled for
its shapes: rows are as wide as one of a few lengths, the peer's as ours, for otherwise each length would
cost a compilation. The seconds of the first call stand beside the others.

Over ragged text the contestants get every text once, in batches made beforehand, a part of each
contestant's at a time. Training steps have the same texts, as they come; the losses must agree.

  python benchmarks/jax_wing.py            some twenty minutes on two cores
  python benchmarks/jax_wing.py --quick    two shapes, forty texts, a small model
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from measuring import DATA, conclude, in_turn, ragged_texts, row, say, seconds, table

import distilbert
from distilbert import DistilBertConfig, DistilBertTokenizerFast
from distilbert.jax import FlaxDistilBertForSequenceClassification
from distilbert.jax.batch import bucket

SHAPES = ((1, 16), (1, 128), (8, 128), (32, 32), (8, 384))
LONGEST = 512
BATCH = 32
#: Places of a batch over ragged text that is made by length: so many rows of its width as they come to.
BUDGET = 4096
#: Texts of a training step.
STEP = 16
PARTS = 7
SMALL = {"n_layers": 2, "dim": 128, "n_heads": 2, "hidden_dim": 512}
ORDERS = ("rows of 32 as they come", "rows of 32, sorted", f"{BUDGET} places, sorted")
#: How far apart logits and losses may be: fp32, summed in another order.
ALIKE = 2e-5

Inputs = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """What a model is given, and which texts that is."""

    texts: Sequence[int]
    inputs: Inputs


class Contestant:
    """A model as a compiled function of its inputs, and its training step."""

    def __init__(self, name: str, model: Any) -> None:
        self.name, self.model = name, model
        self.losses: list[float] = []

    def logits(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        raise NotImplementedError

    def step(self, inputs: Inputs, labels: np.ndarray[Any, Any]) -> None:
        raise NotImplementedError


class Ours(Contestant):
    """A call is compiled; a training loop is Flax's, in its functional form."""

    def __init__(self, model: Any) -> None:
        super().__init__("ours", model)
        form, state = nnx.split((model, nnx.Optimizer(model, optax.adamw(2e-5), wrt=nnx.Param)))
        self.state = jax.tree.map(jnp.copy, state)

        @partial(jax.jit, donate_argnums=0)
        def step(state: Any, batch: Any, labels: Any) -> Any:
            model, optimiser = nnx.merge(form, state)

            def loss(model: Any) -> Any:
                return model(batch, labels=labels).loss

            value, gradients = nnx.value_and_grad(loss)(model)
            optimiser.update(model, gradients)
            return nnx.state((model, optimiser)), value

        self._step = step

    def logits(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        return np.asarray(self.model(**inputs).logits)

    def step(self, inputs: Inputs, labels: np.ndarray[Any, Any]) -> None:
        batch = self.model.encoder.batch(**inputs, first_only=True)
        self.state, loss = self._step(self.state, batch, labels)
        self.losses.append(float(loss))


class Peer(Contestant):
    """As its examples have it: parameters beside the model, and ``jax.jit`` around both."""

    def __init__(self, model: Any) -> None:
        super().__init__("peer", model)
        optimiser = optax.adamw(2e-5)
        self.params = jax.tree.map(jnp.copy, model.params)
        self.state = optimiser.init(self.params)
        self._forward = jax.jit(lambda params, inputs: model(**inputs, params=params).logits)

        @partial(jax.jit, donate_argnums=(0, 1))
        def step(params: Any, state: Any, inputs: Inputs, labels: Any) -> Any:
            def loss(params: Any) -> Any:
                logits = model(**inputs, params=params).logits
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

            value, gradients = jax.value_and_grad(loss)(params)
            changes, state = optimiser.update(gradients, state, params)
            return optax.apply_updates(params, changes), state, value

        self._step = step

    def logits(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        return np.asarray(self._forward(self.model.params, inputs))

    def step(self, inputs: Inputs, labels: np.ndarray[Any, Any]) -> None:
        self.params, self.state, loss = self._step(self.params, self.state, inputs, labels)
        self.losses.append(float(loss))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two shapes, forty texts, a small model")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    texts = tokenized(0.04 if args.quick else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), SMALL if args.quick else {})
        rows = fixed(Path(folder), SHAPES[:2] if args.quick else SHAPES, 3 if args.quick else 9)
        rows += ragged(Path(folder), texts)
        rows += ragged_training(Path(folder), texts, 1 if args.quick else 9)
    for made in rows:
        print(f"{made['case']}: {made['ratio']:.2f} times the peer's speed (target {made['target']:.2f})")
    conclude("jax_wing", rows, ("jax", "flax", "transformers", "numpy"))


def write_model(folder: Path, sizes: dict[str, int]) -> None:
    """Random weights, for ours and for the peer; nothing is dropped."""
    config = DistilBertConfig(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, **sizes)
    FlaxDistilBertForSequenceClassification(config, seed=0).save_pretrained(folder / "ours")
    distilbert.convert(folder / "ours", to="msgpack", out=folder / "peer")


def models(folder: Path) -> tuple[Ours, Peer]:
    """Ours and the peer's, with the same weights."""
    transformers = flax_peer()
    ours = FlaxDistilBertForSequenceClassification.from_pretrained(folder / "ours")
    theirs = transformers.FlaxDistilBertForSequenceClassification.from_pretrained(folder / "peer")
    return Ours(ours), Peer(theirs)


def flax_peer() -> Any:
    """``transformers`` with its Flax classes, which it leaves out unless it is asked for them."""
    import os

    os.environ.update(USE_TF="0", USE_FLAX="1", USE_TORCH="0")
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def tokenized(share: float) -> list[list[int]]:
    """The ids of texts of the three files, shuffled."""
    tokenizer = DistilBertTokenizerFast(str(DATA / "vocab" / "bert-base-uncased" / "vocab.txt"))
    return tokenizer(ragged_texts(share), truncation=True, max_length=LONGEST)["input_ids"]


def padded(texts: list[list[int]], order: Sequence[int], size: int | None) -> list[Batch]:
    """Rows as wide as one of the few lengths; so many of them, or as many as make up the budget."""
    made, start = [], 0
    while start < len(order):
        rows = size or BUDGET // bucket(len(texts[order[start]]), LONGEST)
        which = order[start : start + rows]
        width = bucket(max(len(texts[i]) for i in which), LONGEST)
        ids, mask = (np.zeros((rows, width), np.int32) for _ in range(2))
        mask[:, 0] = 1  # a last batch has rows without a text: for another number of rows all would compile
        for place, i in enumerate(which):
            ids[place, : len(texts[i])] = texts[i]
            mask[place, : len(texts[i])] = 1
        made.append(Batch(which, {"input_ids": ids, "attention_mask": mask}))
        start += rows
    return made


def fixed(folder: Path, shapes: Sequence[tuple[int, int]], rounds: int) -> list[dict[str, Any]]:
    """Full rows: forward, and training steps."""
    contestants, rows, lines = models(folder), [], []
    for shape in shapes:
        say(f"full rows of {shape[0]} x {shape[1]}")
        draw = np.random.default_rng(0)
        ids = draw.integers(1000, 30000, shape, dtype=np.int32)
        inputs = {"input_ids": ids, "attention_mask": np.ones(shape, np.int32)}
        labels = draw.integers(0, 2, shape[0], dtype=np.int32)
        first = {one.name: seconds(partial(one.logits, inputs)) for one in contestants}
        agree(*(one.logits(inputs) for one in contestants))
        for what, work in (
            ("forward", {one.name: partial(one.logits, inputs) for one in contestants}),
            ("step", {one.name: partial(one.step, inputs, labels) for one in contestants}),
        ):
            if what == "step":
                first = {name: seconds(run) for name, run in work.items()}
            # So many at once that a round lasts. A step costs what its optimiser does, however few the rows.
            times = max(1, round(256 / ids.size)) if what == "forward" else 1
            spent = in_turn(work, rounds=rounds, times=times)
            ours, theirs = (statistics.median(spent[name]) for name in ("ours", "peer"))
            by_round = sorted(b / a for a, b in zip(spent["ours"], spent["peer"], strict=True))
            case = f"{what}, {shape[0]} x {shape[1]}"
            lines.append(
                [case, f"{1e3 * ours:.1f}", f"{1e3 * theirs:.1f}", f"{theirs / ours:.2f}",
                 f"{by_round[0]:.2f}-{by_round[-1]:.2f}", f"{first['ours']:.1f}", f"{first['peer']:.1f}"]
            )  # fmt: skip
            rows.append(row(case, "seconds", ours, "transformers Flax", theirs, target=0.97))
    print(f"Full rows, medians of {rounds} rounds; the first call compiles")
    table(["", "ours ms", "peer ms", "ratio", "by round", "ours first s", "peer first s"], lines)
    return rows


def agree(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
    """Whatever is faster must also be right."""
    difference = float(np.abs(ours - theirs).max())
    if difference > ALIKE:
        sys.exit(f"The logits differ by {difference:.1e}.")


def ragged(folder: Path, texts: list[list[int]]) -> list[dict[str, Any]]:
    """Texts of all lengths, in the batches that each may get."""
    contestants = models(folder)
    as_they_come = range(len(texts))
    by_length = sorted(as_they_come, key=lambda i: -len(texts[i]))
    orders = ((as_they_come, BATCH), (by_length, BATCH), (by_length, None))
    batches = {name: padded(texts, *order) for name, order in zip(ORDERS, orders, strict=True)}
    work = {(one, name): given for name, given in batches.items() for one in contestants}
    compiling = {}
    for (one, name), given in work.items():
        say(f"ragged text: {one.name}, {name}, is compiled")
        shapes = {batch.inputs["input_ids"].shape: batch.inputs for batch in given}
        begun = time.perf_counter()
        for inputs in shapes.values():
            one.logits(inputs)
        compiling[one.name, name] = (len(shapes), time.perf_counter() - begun)
    said = {(one.name, name): np.zeros((len(texts), 2), np.float32) for one, name in work}
    spent: dict[tuple[str, str], float] = dict.fromkeys(said, 0.0)
    for part in range(PARTS):
        say(f"ragged text: part {part + 1} of {PARTS}")
        for (one, name), given in list(work.items())[:: -1 if part % 2 else 1]:
            run = partial(answers, one.logits, given[part::PARTS], said[one.name, name])
            spent[one.name, name] += seconds(run)
    tokens = sum(map(len, texts))
    rates = {who: tokens / taken for who, taken in spent.items()}
    lines = []
    for who, rate in rates.items():
        agree(said[who], said["peer", ORDERS[0]])
        places = sum(batch.inputs["input_ids"].size for batch in batches[who[1]])
        shapes, first = compiling[who]
        lines.append([", ".join(who), f"{tokens / places:.0%}", f"{rate:.0f}", str(shapes), f"{first:.1f}"])
    print(f"\nRagged text: {len(texts)} texts of {min(map(len, texts))} to {max(map(len, texts))} tokens")
    table(["", "live", "tokens/s", "shapes", "first calls s"], lines)
    best, best_peer = (
        max((who for who in rates if who[0] == name), key=rates.__getitem__) for name in ("ours", "peer")
    )
    case = f"ragged text, {best[1]}, beside the peer's {best_peer[1]}"
    return [
        row(
            case, "tokens_per_s", rates[best], "transformers Flax", rates[best_peer], target=1.3, more=True
        ),
        *(
            row(f"ragged text, {name}, alike", "tokens_per_s", rates["ours", name], "transformers Flax",
                rates["peer", name], target=1.0, more=True)
            for name in ORDERS
        ),
    ]  # fmt: skip


def answers(logits: Callable[[Inputs], Any], batches: Sequence[Batch], into: np.ndarray[Any, Any]) -> None:
    for batch in batches:
        into[list(batch.texts)] = logits(batch.inputs)[: len(batch.texts)]


def ragged_training(folder: Path, texts: list[list[int]], steps: int) -> list[dict[str, Any]]:
    """Steps on texts as they come, whose losses must agree."""
    contestants = models(folder)
    batches = padded(texts[: STEP * steps], range(STEP * steps), STEP)
    labels = np.random.default_rng(0).integers(0, 2, (steps, STEP), dtype=np.int32)
    spent: dict[str, list[float]] = {one.name: [] for one in contestants}
    for warm in {batch.inputs["input_ids"].shape: batch for batch in batches}.values():
        for one in contestants:
            one.step(warm.inputs, labels[0])
    for one in contestants:
        one.losses.clear()
    for i, batch in enumerate(batches):
        say(f"ragged text: step {i + 1} of {steps}")
        for one in contestants[:: -1 if i % 2 else 1]:
            spent[one.name].append(seconds(partial(one.step, batch.inputs, labels[i])))
    ours, theirs = contestants
    gap = max(abs(a - b) for a, b in zip(ours.losses, theirs.losses, strict=True))
    if gap > 10 * ALIKE:  # rounding is learnt from, step after step
        sys.exit(f"The losses differ by {gap:.1e}.")
    print(f"\nTraining steps of {STEP} ragged texts as they come, {steps} of them; losses {gap:.0e} apart")
    case = f"step, {STEP} ragged texts"
    return [row(case, "seconds", sum(spent["ours"]), "transformers Flax", sum(spent["peer"]), target=1.3)]


if __name__ == "__main__":
    main()
