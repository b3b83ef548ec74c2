"""Text in, answers out: how fast is an engine beside what people run today, each at its best?

A DistilBERT of the published size with random weights tells labels of texts; ours is what `distilbert
optimize` keeps of it on this machine. Weights that nothing was learnt by keep few of their answers in 8 bits,
so that here the gate lets everything pass; the part `trained` shows what it keeps of a trained model.

Peers: transformers' pipeline in fp32 and bf16 (32 at a time as they come and by length, one by one), ONNX
Runtime in 8 bits, OpenVINO in 8 bits by a hand that knows how, CTranslate2 in 8 bits with its head, and
sentence-transformers with OpenVINO; the last two in environments of their own, which are made when they are
missing. Contestants take turns, part by part.

  python benchmarks/engine.py                       everything; about two hours on two cores
  python benchmarks/engine.py --part ragged single  some of it
  python benchmarks/engine.py --quick               small models and few texts; peers of other environments
                                                    only where these are there
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import engine_lasting
import engine_shapes
import engine_trained
import numpy as np
from engine_elsewhere import Elsewhere, started
from engine_models import PLACE, classifier, embedder, forget, require_data, size_of
from engine_peers import (
    Answer,
    OnnxInt8,
    OpenVinoInt8,
    Transformers,
    by_budget,
    by_length,
    one_by_one,
)
from measuring import conclude, in_turn, ragged_texts, row, say, seconds, table

from distilbert import load

#: Into how many parts the texts are dealt.
PARTS = 7
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
#: Single texts of each length.
TIMES = 40

#: What others measured of single texts, elsewhere: to compare an order of magnitude by, and no more.
PUBLISHED = (
    "published elsewhere, one text of 128 tokens: 3.47 ms (DistilBERT, Apple's neural engine, iPhone 13), "
    "5-6 ms (BERT-base, AWS inf1), 1.09 ms (BERT-base fp16, FasterTransformer, A100)"
)

BY_HAND = "OpenVINO int8 by hand"


@dataclass
class Bench:
    """What parts share, made when it is first wanted."""

    quick: bool
    stack: ExitStack

    @property
    def size(self) -> str:
        return size_of(self.quick)

    @cached_property
    def folder(self) -> Path:
        return classifier(small=self.quick)

    @cached_property
    def peers(self) -> dict[str, Any]:
        """Those that classify in this process."""
        return {
            "transformers fp32": Transformers(self.folder, "float32"),
            "transformers bf16": Transformers(self.folder, "bfloat16"),
            "ONNX Runtime int8": OnnxInt8(self.folder),
            BY_HAND: OpenVinoInt8(self.folder),
        }

    @cached_property
    def ctranslate2(self) -> Elsewhere | str:
        return self.elsewhere("ctranslate2", self.folder)

    def elsewhere(self, name: str, folder: Path) -> Elsewhere | str:
        """A peer in its own environment, or why there is none."""
        found = started(name, folder, PLACE / f"{name}-{folder.name}", make=not self.quick)
        return self.stack.enter_context(found) if isinstance(found, Elsewhere) else found

    def engine(self, folder: Path | None = None, **settings: Any) -> Any:
        return self.stack.enter_context(load(folder or self.folder, **settings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small models and few texts")
    parser.add_argument("--part", nargs="+", choices=tuple(PARTS_OF), default=tuple(PARTS_OF), metavar="PART",
                        help=f"some of {', '.join(PARTS_OF)}")  # fmt: skip
    parser.add_argument("--anew", action="store_true", help="make and optimise the models anew")
    args = parser.parse_args()
    require_data()
    if args.anew:
        forget()
    rows: list[dict[str, Any]] = []
    for name in args.part:
        with ExitStack() as stack:
            rows += PARTS_OF[name](Bench(args.quick, stack))
    conclude(
        "engine",
        rows,
        ("onnxruntime", "openvino", "nncf", "torch", "transformers", "tokenizers", "numpy"),
    )


def ragged(bench: Bench) -> list[dict[str, Any]]:
    """Texts of all lengths, as many as there are, strings to labels."""
    texts = ragged_texts(0.04 if bench.quick else 1.0)
    engine, peers = bench.engine(), bench.peers
    lengths = dict(zip(texts, map(len, peers[BY_HAND].ids(texts)), strict=True))
    ours = f"ours, {engine.runtime} {engine.precision}"

    def answered(given: Sequence[str]) -> list[str]:
        return [answer.label for answer in engine(list(given))]

    contestants: dict[str, Answer] = {ours: answered}
    for name in ("transformers fp32", "transformers bf16"):
        contestants |= {f"{name}, {way}": run for way, run in peers[name].ways().items()}
    ways = (("32 by length", by_length), ("one by one", one_by_one))
    for way, batches in ways:
        run = partial(peers["ONNX Runtime int8"].labels, batches=batches)
        contestants[f"ONNX Runtime int8, {way}"] = run
    contestants[BY_HAND] = partial(peers[BY_HAND].labels, batches=by_budget)
    other = bench.ctranslate2
    if isinstance(other, Elsewhere):
        for streams in sorted({1, engine_shapes.CORES}):
            name = f"CTranslate2 int8 and head, 32 by length, {streams} at once"
            contestants[name] = partial(_elsewhere, other, streams)
        print(f"beside: {other.versions}")
    rates, same = _in_parts(contestants, texts, lengths)
    print(
        f"{ours}: {engine.tally.padding:.1%} padding, {engine.tally.rows} rows in {engine.tally.groups} calls"
    )
    exact = {name: share for name, share in same.items() if name.startswith("transformers fp32")}
    if min(exact.values()) < 0.99:
        sys.exit("The labels differ in fp32.")
    theirs = {name: rate for name, rate in rates.items() if name != ours}
    case = f"{ours}: {len(texts)} ragged texts, strings to labels, {bench.size}"
    best = max((name for name in theirs if name != BY_HAND), key=theirs.__getitem__)
    fp32 = max(exact, key=theirs.__getitem__)
    rows = [
        row(case, "tokens_per_s", rates[ours], name, theirs[name], target=target, more=True)
        for name, target in (
            (best, 1.5),
            (BY_HAND, 1.1),
            (fp32, 6.0),
            ("transformers fp32, 32 as they come", 6.0),
        )
    ]
    if isinstance(other, str):
        rows.append(
            missing(case, "tokens_per_s", rates[ours], "CTranslate2 int8 and head", other, target=1.5)
        )
    return rows


def embeddings(bench: Bench) -> list[dict[str, Any]]:
    """The same texts to vectors."""
    texts = ragged_texts(0.04 if bench.quick else 0.4)
    folder = embedder(small=bench.quick)
    engine, exact = bench.engine(folder), bench.engine(folder, runtime="onnx")
    ours = f"ours, {engine.runtime} {engine.precision}"
    case = f"{ours}: {len(texts)} ragged texts to vectors, {bench.size}"
    other = bench.elsewhere("sentence-transformers", folder)
    contestants: dict[str, Any] = {ours: engine, "ours, onnx fp32": exact}
    if isinstance(other, Elsewhere):
        few = texts[:8]
        theirs = np.array(other.ask("vectors", texts=few))
        own = np.stack([answer.vector for answer in exact(few)])
        cosines = (theirs * own).sum(-1) / np.linalg.norm(theirs, axis=-1) / np.linalg.norm(own, axis=-1)
        print(f"beside: {other.versions}; least cosine with our fp32 {cosines.min():.4f}")
        if cosines.min() < 0.99:
            sys.exit("The vectors differ.")
        contestants["sentence-transformers, OpenVINO"] = lambda given: other.ask("embed", texts=list(given))
    from distilbert import DistilBertTokenizerFast

    tokenizer = DistilBertTokenizerFast.from_pretrained(folder)
    ids = tokenizer(texts, truncation=True)["input_ids"]
    rates, _ = _in_parts(contestants, texts, dict(zip(texts, map(len, ids), strict=True)))
    peer = "sentence-transformers, OpenVINO"
    if isinstance(other, str):
        return [missing(case, "tokens_per_s", rates[ours], peer, other, target=1.5)]
    return [row(case, "tokens_per_s", rates[ours], peer, rates[peer], target=1.5, more=True)]


def single(bench: Bench) -> list[dict[str, Any]]:
    """One text at a time, which all cores are given to, string to label."""
    engine, peers, other = bench.engine(streams=1), bench.peers, bench.ctranslate2
    ours = f"ours, {engine.runtime} {engine.precision}"
    contestants: dict[str, Callable[[str], Any]] = {ours: engine}
    contestants |= {name: peers[name].pipeline for name in ("transformers fp32", "transformers bf16")}
    for name in ("ONNX Runtime int8", BY_HAND):
        contestants[name] = partial(_one_label, peers[name])
    if isinstance(other, Elsewhere):
        contestants["CTranslate2 int8 and head"] = lambda text: _elsewhere(other, 1, [text])
    rows, shown = [], []
    for length in LENGTHS[:2] if bench.quick else LENGTHS:
        say(f"single texts of {length} tokens")
        text = " ".join(["day"] * (length - 2))
        work = {name: partial(run, text) for name, run in contestants.items()}
        for run in work.values():
            run()
        spent = in_turn(work, rounds=7 if bench.quick else TIMES)
        middle = {name: statistics.median(own) for name, own in spent.items()}
        shown.append([f"{length}", *(
            f"{1000 * middle[name]:.2f} / {1000 * np.quantile(own, 0.99):.2f}" for name, own in spent.items()
        )])  # fmt: skip
        best = min(middle.keys() - {ours}, key=middle.__getitem__)
        case = f"{ours}: one text of {length} tokens, string to label, {bench.size}"
        rows.append(row(case, "p50_seconds", middle[ours], best, middle[best], target=1.0))
    print(f"\none text at a time, string to label, {bench.size}; p50 / p99 in ms")
    table(("tokens", *contestants), shown)
    print(PUBLISHED)
    return rows


def _in_parts(
    contestants: Mapping[str, Callable[[Sequence[str]], Any]],
    texts: Sequence[str],
    lengths: Mapping[str, int],
) -> tuple[dict[str, float], dict[str, float]]:
    """Tokens a second of each, and where labels are told, the share that transformers tells likewise in fp32.

    A part of the texts goes through all contestants before the next does.
    """
    found: dict[str, list[Any]] = {name: [] for name in contestants}
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for name, answer in contestants.items():
        say(f"warm up {name}")
        answer(texts[:4])
    for part in range(PARTS):
        say(f"part {part + 1} of {PARTS}")
        given = texts[part::PARTS]
        for name in list(contestants)[:: -1 if part % 2 else 1]:
            told: list[Any] = []
            run = partial(contestants[name], given)
            spent[name].append(seconds(lambda run=run, told=told: told.append(run())))
            found[name].append(told[0])
    tokens = sum(lengths[text] for text in texts)
    rates = {name: tokens / sum(own) for name, own in spent.items()}
    dealt = [sum(lengths[text] for text in texts[part::PARTS]) for part in range(PARTS)]
    surest = found.get("transformers fp32, one by one")
    same: dict[str, float] = {}
    if surest is not None:
        true = np.concatenate(surest)
        same = {name: float(np.mean(np.concatenate(own) == true)) for name, own in found.items()}
    shown = []
    for name, rate in rates.items():
        parts = [own / taken for own, taken in zip(dealt, spent[name], strict=True)]
        shown.append([
            name, f"{rate:.0f}", f"{min(parts):.0f}-{max(parts):.0f}", f"{len(texts) / sum(spent[name]):.1f}",
            f"{same[name]:.1%}" if same else "",
        ])  # fmt: skip
    print(f"\n{len(texts)} texts, {tokens} tokens")
    table(("", "tokens/s", "by part", "texts/s", "as in fp32" if same else ""), shown)
    return rates, same


def _one_label(peer: Any, text: str) -> str:
    label: str = peer.label(text)
    return label


def _elsewhere(other: Elsewhere, streams: int, texts: Sequence[str]) -> Any:
    return other.ask("labels", texts=list(texts), streams=streams)


def missing(case: str, metric: str, ours: float, other: str, why: str, *, target: float) -> dict[str, Any]:
    """A comparison that could not be made."""
    return {
        "case": case,
        "metric": metric,
        "ours": ours,
        "peer": f"{other} (not had here: {why})",
        "peer_value": None,
        "ratio": None,
        "target": target,
    }


PARTS_OF: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "ragged": ragged,
    "embeddings": embeddings,
    "shapes": engine_shapes.shapes,
    "single": single,
    "start": engine_lasting.start,
    "million": engine_lasting.million,
    "trained": engine_trained.trained,
}


if __name__ == "__main__":
    main()
