"""How long does text take to become arrays?

A batch of strings in, padded numpy arrays out, real text: news and film reviews. Ours and the peer's two
tokenizers, and below them the bare ``tokenizers`` library, which gives no arrays and is the floor.

  python benchmarks/tokenization.py            4,500 texts, seven interleaved repeats; about two minutes
  python benchmarks/tokenization.py --quick    600 texts, three repeats
"""

import argparse
import gzip
import json
import os
import statistics
import sys

from measuring import DATA, Work, conclude, in_turn, peer, row, say, table

from distilbert import DistilBertTokenizer, DistilBertTokenizerFast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="600 texts, three repeats")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    news, reviews = (300, 300) if args.quick else (2000, 2500)
    texts = read("ag_news.test", news) + read("imdb.test_2500", reviews)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    work = contestants(texts)
    for name, run in work.items():
        say(f"warm up: {name}")
        run()
    seconds = in_turn(work, rounds=3 if args.quick else 7)
    show(seconds, case=f"{len(texts)} texts" + (", quick" if args.quick else ""))


def read(name: str, count: int) -> list[str]:
    with gzip.open(DATA / "tasks" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for _, line in zip(range(count), file, strict=False)]


def contestants(texts: list[str]) -> dict[str, Work]:
    """What is timed, by name. Each tokenizes all texts and pads them to the longest."""
    from tokenizers import Tokenizer

    transformers = peer()
    folder = DATA / "vocab" / "bert-base-uncased"
    vocabulary = str(folder / "vocab.txt")
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast, python = DistilBertTokenizerFast(vocabulary), DistilBertTokenizer(vocabulary)
    two = DistilBertTokenizer(vocabulary, num_proc=2)
    peer_fast = transformers.DistilBertTokenizerFast(vocabulary)
    peer_slow = transformers.DistilBertTokenizer(vocabulary)
    ours = {"padding": True, "return_tensors": "np", "verbose": False}

    def one_thread() -> object:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            return fast(texts, **ours)
        finally:
            os.environ["TOKENIZERS_PARALLELISM"] = "true"

    def forgetful() -> object:
        """Ours in Python without what it remembers of words from earlier rounds."""
        python._vocabulary_changed()
        return python(texts, **ours)

    return {
        "library, no arrays": lambda: raw.encode_batch_fast(texts),
        "ours, fast": lambda: fast(texts, **ours),
        "ours, fast, one thread": one_thread,
        "peer, fast": lambda: peer_fast(texts, **ours),
        "ours, Python": forgetful,
        "ours, Python, two processes": lambda: two(texts, **ours),
        "peer, slow": lambda: peer_slow(texts, **ours),
    }


def show(seconds: dict[str, list[float]], *, case: str) -> None:
    """A table for people, and a last line for programs."""
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    table(
        ("", "median s", "least", "most"),
        [
            [name, *(f"{x:.3f}" for x in (middle[name], min(times), max(times)))]
            for name, times in seconds.items()
        ],
    )
    rows = [
        row(f"{ours}, {case}", "seconds", middle[ours], other, middle[other], target=target)
        for ours, other, target in (
            ("ours, fast", "library, no arrays", 1 / 1.2),
            ("ours, fast", "peer, fast", 2.5),
            ("ours, Python", "peer, slow", 1.5),
            ("ours, fast", "ours, fast, one thread", 1.0),
            ("ours, Python, two processes", "ours, Python", 1.0),
        )
    ]
    for made in rows:
        print(f"{made['case']}: {made['ratio']:.2f} times {made['peer']} (target {made['target']:.2f})")
    conclude("tokenization", rows, ("torch", "tokenizers", "numpy"))


if __name__ == "__main__":
    main()
