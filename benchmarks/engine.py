"""Text in, answers out: how fast is an engine beside what people run today, in fp32?

A DistilBERT of the published size with random weights classifies texts, strings to labels. Texts of all
lengths go through ours on each runtime and through the peer's pipeline, in turn and a part of them at a time:
as they come in batches of 32, sorted by length, and one by one. Then single texts of given lengths, one at a
time, and what it takes from the start of a process to its first answer.

  python benchmarks/engine.py            a thousand texts
  python benchmarks/engine.py --quick    forty of them, through a small model
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import DATA, conclude, in_turn, peer, ragged_texts, row, say, seconds, table

from distilbert import DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizerFast, load

RUNTIMES = ("onnx", "openvino")
BATCH = 32
#: Into how many parts the texts are dealt.
PARTS = 7
LENGTHS = (8, 32, 128, 512)
#: Single texts of each length.
TIMES = 40
SMALL = {"n_layers": 2, "dim": 128, "n_heads": 2, "hidden_dim": 512}

Answer = Callable[[Sequence[str]], list[str]]

#: What a new process runs until it has answered, and how much memory it then has.
_START = """
import sys
from distilbert import load
engine = load(sys.argv[1], runtime=sys.argv[2])
engine("A fine day.")
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")][0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="forty texts, through a small model")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), SMALL if args.quick else {})
        size = "a small model" if args.quick else "the published size"
        contestants = {f"ours, {name}": load(folder, runtime=name) for name in RUNTIMES}
        pipeline = peer().pipeline("text-classification", model=folder, device="cpu", truncation=True)
        rows = ragged(contestants, pipeline, 0.04 if args.quick else 1.0, size)
        rows += single(folder, pipeline, LENGTHS[:2] if args.quick else LENGTHS, size)
        rows += start(folder, size)
    conclude("engine", rows, ("onnxruntime", "openvino", "torch", "transformers", "tokenizers", "numpy"))


def write_model(folder: Path, sizes: dict[str, Any]) -> None:
    import torch

    torch.manual_seed(0)
    names = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    # At the usual 0.02 every text would get about the same answer.
    config = DistilBertConfig(initializer_range=0.05, **names, **sizes)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    vocabulary = DATA / "vocab" / "bert-base-uncased" / "vocab.txt"
    DistilBertTokenizerFast(vocabulary, model_max_length=512).save_pretrained(folder)


def ragged(engines: dict[str, Any], pipeline: Any, share: float, size: str) -> list[dict[str, Any]]:
    """Texts of all lengths, as many as there are."""
    texts = ragged_texts(share)
    tokenizer = pipeline.tokenizer
    lengths = {text: len(tokenizer(text, truncation=True)["input_ids"]) for text in texts}
    tokens = sum(lengths[text] for text in texts)

    def ours(engine: Any, given: Sequence[str]) -> list[str]:
        return [answer.label for answer in engine(list(given))]

    def theirs(given: Sequence[str], batch_size: int, in_order: bool) -> list[str]:
        order = sorted(range(len(given)), key=lambda i: lengths[given[i]]) if in_order else range(len(given))
        found = dict(zip(order, pipeline([given[i] for i in order], batch_size=batch_size), strict=True))
        return [found[i]["label"] for i in range(len(given))]

    contestants: dict[str, Answer] = {name: partial(ours, engine) for name, engine in engines.items()}
    contestants |= {
        "peer, 32 as they come": partial(theirs, batch_size=BATCH, in_order=False),
        "peer, 32 by length": partial(theirs, batch_size=BATCH, in_order=True),
        "peer, one by one": partial(theirs, batch_size=1, in_order=False),
    }
    labels: dict[str, list[str]] = {name: [] for name in contestants}
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for answer in contestants.values():
        answer(texts[:4])
    for part in range(PARTS):
        say(f"ragged: part {part + 1} of {PARTS}")
        given = texts[part::PARTS]
        for name in list(contestants)[:: -1 if part % 2 else 1]:
            found: list[list[str]] = []
            run = partial(contestants[name], given)
            spent[name].append(seconds(lambda run=run, found=found: found.append(run())))
            labels[name] += found[0]
    rates = {name: tokens / sum(own) for name, own in spent.items()}
    alone = np.array(labels["peer, one by one"])
    same = {name: float(np.mean(np.array(own) == alone)) for name, own in labels.items()}
    print(f"\n{len(texts)} texts, {tokens} tokens, strings to labels, {size}, fp32")
    shown = [
        [name, f"{rate:.0f}", f"{len(texts) / sum(spent[name]):.1f}", f"{same[name]:.2%}"]
        for name, rate in rates.items()
    ]
    table(("", "tokens/s", "texts/s", "same label as one by one"), shown)
    for name, engine in engines.items():
        print(f"{name}: {engine.tally.padding:.1%} padding")
    if min(same.values()) < 0.99:
        sys.exit("The labels differ.")
    best = max(engines, key=rates.__getitem__)
    other = max(rates.keys() - engines.keys(), key=rates.__getitem__)
    case = f"{best}: {len(texts)} ragged texts, strings to labels, fp32, {size}"
    what = f"transformers pipeline: {other}"
    return [row(case, "tokens_per_s", rates[best], what, rates[other], target=6.0, more=True)]


def single(folder: str, pipeline: Any, lengths: Sequence[int], size: str) -> list[dict[str, Any]]:
    """One text at a time, which all cores are given to."""
    engines = {f"ours, {name}": load(folder, runtime=name, streams=1) for name in RUNTIMES}
    rows, shown = [], []
    for length in lengths:
        say(f"single texts of {length} tokens")
        text = " ".join(["day"] * (length - 2))
        work = {name: partial(engine, text) for name, engine in engines.items()}
        work["peer"] = partial(pipeline, text)
        for run in work.values():
            run()
        spent = in_turn(work, rounds=TIMES)
        for name, own in spent.items():
            own = [1000 * second for second in own]
            shown.append(
                [f"{length} tokens, {name}", f"{statistics.median(own):.2f}", f"{np.quantile(own, 0.99):.2f}"]
            )
        best = min(engines, key=lambda name: statistics.median(spent[name]))
        rows.append(
            row(f"{best}: one text of {length} tokens, string to label, fp32, {size}", "p50_seconds",
                statistics.median(spent[best]), "transformers pipeline", statistics.median(spent["peer"]),
                target=1.0)
        )  # fmt: skip
    print(f"\none text at a time, strings to labels, {size}, fp32")
    table(("", "p50 ms", "p99 ms"), shown)
    return rows


def start(folder: str, size: str) -> list[dict[str, Any]]:
    """From the start of a process to its first answer."""
    rows = []
    for name in RUNTIMES:
        say(f"start with {name}")
        spent, memory = [], 0
        for _ in range(3):
            started = time.perf_counter()
            ran = subprocess.run(
                [sys.executable, "-c", _START, folder, name], capture_output=True, text=True, check=True
            )
            spent.append(time.perf_counter() - started)
            memory = int(ran.stdout) // 1024
        print(f"start to first answer, {name}, {size}: {min(spent):.2f} s, {memory} MB resident")
        case = f"ours, {name}: start of a process to its first answer, fp32, {size}"
        rows.append(row(case, "seconds", min(spent), "what is wanted", 1.0, target=1.0))
    return rows


if __name__ == "__main__":
    main()
