"""How fast are the Keras models beside the peer's for TensorFlow, forward and in a training step?

Sequence classification at the published size, with the same random weights, fp32, without dropout, each in a
graph of TensorFlow's that takes rows of any number and length. At fixed shapes both are given full rows. On
ragged text, sentences of film reviews, news and whole reviews, both are given rows of 16 as they come, and
both rows of 16 sorted by length, as a run of ours makes them; the ratio is ours sorted beside either of the
peer's. A training step is the gradient and Adam's update, by each one's own Keras. Contestants take turns.

  python benchmarks/keras_wing.py            seven rounds, about half an hour on two cores
  python benchmarks/keras_wing.py --quick    two layers, small shapes, three rounds
"""

import argparse
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

# Read when TensorFlow is loaded: Keras 2 is the peer's.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from measuring import DATA, conclude, in_turn, ragged_texts, row, table

from distilbert import DistilBertConfig, DistilBertTokenizerFast
from distilbert.core.data.collate import attention_mask, pad
from distilbert.keras import TFDistilBertForSequenceClassification

#: Rows and tokens.
SHAPES = ((1, 128), (16, 128), (4, 512))
QUICK_SHAPES = ((1, 32), (4, 64))
BATCH = 16
LONGEST = 512
#: What is asked at each fixed shape, and of ragged text.
FIXED, RAGGED = 0.97, 1.3

Batch = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two layers, small shapes, three rounds")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    rounds = 3 if args.quick else 7
    ours, peer = models(DistilBertConfig(**(SMALL if args.quick else {}), **NOTHING_DROPPED))
    works = {
        "forward": (forward(ours), forward(peer)),
        "training step": (
            step(ours, keras.optimizers.Adam(1e-6)),
            step(peer, tf_keras.optimizers.Adam(1e-6)),
        ),
    }
    rows: list[dict[str, Any]] = []
    suffix = ", two layers" if args.quick else ""
    for what, (mine, theirs) in works.items():
        for shape in QUICK_SHAPES if args.quick else SHAPES:
            batches = [full(shape, ours.config.vocab_size)]
            found = timed({"ours": (mine, batches), "peer": (theirs, batches)}, rounds)
            case = f"{what}, {shape[0]} rows of {shape[1]}{suffix}"
            rows.append(row(case, "seconds", found["ours"], "TF transformers", found["peer"], target=FIXED))
        come, by_length = ragged(0.02 if args.quick else 0.1)
        found = timed(
            {
                "ours": (mine, by_length),
                "peer, as they come": (theirs, come),
                "peer, sorted": (theirs, by_length),
            },
            rounds,
        )
        for name in list(found)[1:]:
            case = f"{what}, ragged{suffix}"
            rows.append(
                row(case, "seconds", found["ours"], f"TF transformers{name[4:]}", found[name], target=RAGGED)
            )
    header = ("", "ours", "peer", "ratio", "target")
    cells = [
        (
            f"{one['case']}, beside {one['peer']}",
            f"{one['ours']:.3f} s",
            f"{one['peer_value']:.3f} s",
            f"{one['ratio']:.2f}",
            f"{one['target']:.2f}",
        )
        for one in rows
    ]
    table(header, cells)
    conclude("keras_wing", rows, ("keras", "tensorflow", "tf_keras", "transformers", "numpy"))


SMALL = {"n_layers": 2, "dim": 128, "n_heads": 4, "hidden_dim": 512}
NOTHING_DROPPED = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}


def models(config: DistilBertConfig) -> tuple[Any, Any]:
    """Ours and the peer's, with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        transformers.logging.set_verbosity_error()
        theirs = transformers.TFDistilBertForSequenceClassification
        model = TFDistilBertForSequenceClassification(config, seed=0)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            return model, theirs.from_pretrained(folder, from_pt=True)


SIGNATURE = {name: tf.TensorSpec([None, None], tf.int32) for name in ("input_ids", "attention_mask")}


def forward(model: Any) -> Callable[[Batch], object]:
    """What computes a batch's logits."""
    return tf.function(lambda batch: model(batch)["logits"], input_signature=[SIGNATURE])


def step(model: Any, optimiser: Any) -> Callable[[Batch], object]:
    """What takes a training step on a batch."""
    variables = list(model.trainable_variables)
    optimiser.build(variables)
    # Keras 3's variables hold TensorFlow's, Keras 2's are such.
    learnt = [v if isinstance(v, tf.Variable) else v.value for v in variables]

    @tf.function(input_signature=[SIGNATURE])
    def taken(batch: Batch) -> Any:
        with tf.GradientTape() as tape:
            cost = loss_of(model(batch, training=True)["logits"])
        slopes = tape.gradient(cost, learnt)
        optimiser.apply_gradients(list(zip(slopes, variables, strict=True)))
        return cost

    return taken


def loss_of(logits: Any) -> Any:
    """The same for both: the mean negative log-likelihood of the first class."""
    return -tf.reduce_mean(tf.nn.log_softmax(logits)[:, 0])


def full(shape: tuple[int, int], vocabulary: int) -> Batch:
    """Full rows of random words."""
    ids = np.random.default_rng(0).integers(5, vocabulary, shape)
    return {"input_ids": tf.constant(ids, tf.int32), "attention_mask": tf.ones(shape, tf.int32)}


def ragged(share: float) -> tuple[list[Batch], list[Batch]]:
    """Texts in rows of ``BATCH``, as they come and sorted by length; the same texts in both."""
    tokenizer = DistilBertTokenizerFast(str(DATA / "vocab" / "bert-base-uncased" / "vocab.txt"))
    texts = tokenizer(ragged_texts(share), truncation=True, max_length=LONGEST)["input_ids"]
    return batches_of(texts), batches_of(sorted(texts, key=len))


def batches_of(texts: Sequence[list[int]]) -> list[Batch]:
    made = []
    for start in range(0, len(texts), BATCH):
        part = [np.array(ids) for ids in texts[start : start + BATCH]]
        arrays = {"input_ids": pad(part, value=0), "attention_mask": attention_mask(part)}
        made.append({name: tf.constant(array, tf.int32) for name, array in arrays.items()})
    return made


def timed(
    contestants: dict[str, tuple[Callable[[Batch], object], Sequence[Batch]]], rounds: int
) -> dict[str, float]:
    """The median of each one's seconds for all its batches."""

    def through(run: Callable[[Batch], object], batches: Sequence[Batch]) -> None:
        for batch in batches:
            run(batch)

    work = {name: (lambda one=one: through(*one)) for name, one in contestants.items()}
    for run in work.values():
        run()  # warm
    return {name: statistics.median(found) for name, found in in_turn(work, rounds=rounds).items()}


if __name__ == "__main__":
    main()
