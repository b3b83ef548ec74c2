"""How long does running text take to become the sequences of a language model, and how much memory?

English Wikipedia, 100 million characters, from a packed .jsonl to sequences of at most 128 tokens. Ours write
them to a folder and read them from there. The peer's usual way without further packages holds texts and
tokens in lists: its memory would not end at such a size, so it gets the first tenth, and ours that tenth too.

  python benchmarks/corpus.py            three repeats of each; about five minutes
  python benchmarks/corpus.py --quick    a tenth of the text, one repeat
"""

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from measuring import DATA, Work, apart, conclude, in_turn, peak_bytes, peer, row, say, seconds, table

from distilbert import DistilBertTokenizerFast
from distilbert.core.data.corpus import Corpus, open_corpus
from distilbert.core.data.sources import read_texts

CHARACTERS = 100_000_000
MAX_LENGTH, MIN_LENGTH = 128, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the text, one repeat")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        whole, tenth = (Path(folder, name) for name in ("whole.jsonl.gz", "tenth.jsonl.gz"))
        wanted = CHARACTERS // (10 if args.quick else 1)
        written = {whole: write(whole, wanted), tenth: write(tenth, wanted // 10)}
        measure(whole, tenth, written, rounds=1 if args.quick else 3, quick=args.quick)


def write(path: Path, characters: int) -> int:
    """The first articles, until there are so many characters; how many there are."""
    total = 0
    with (
        gzip.open(DATA / "corpus" / "wikipedia-en.train.jsonl.gz", "rt", encoding="utf-8") as articles,
        gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file,
    ):
        for line in articles:
            if total >= characters:
                break
            file.write(line)
            total += len(json.loads(line)["text"])
    return total


def measure(whole: Path, tenth: Path, written: dict[Path, int], *, rounds: int, quick: bool) -> None:
    say("warm up")
    ours(tenth)
    peers(tenth)
    say("ours, the whole text")
    times = {"ours": [seconds(lambda: ours(whole)) for _ in range(rounds)]}
    say("ours, and the peer, a tenth of it, in turn")
    work: dict[str, Work] = {
        "ours, a tenth": lambda: ours(tenth),
        "peer, a tenth": lambda: peers(tenth),
    }
    times |= in_turn(work, rounds=rounds)
    say("what is kept, opened again")
    times["ours, opened again"] = reopened(whole, rounds)
    say("memory")
    memory = {
        "ours": apart(peak_of_ours, whole),
        "ours, a tenth": apart(peak_of_ours, tenth),
        "peer, a tenth": apart(peak_of_peers, tenth),
    }
    characters = {name: written[tenth if "tenth" in name else whole] for name in times}
    show(times, memory, characters, quick=quick)


@cache
def tokenizer() -> DistilBertTokenizerFast:
    return DistilBertTokenizerFast(str(DATA / "vocab" / "bert-base-uncased" / "vocab.txt"))


def ours(path: Path) -> Corpus:
    with tempfile.TemporaryDirectory() as kept:
        return open_corpus(path, tokenizer(), max_length=MAX_LENGTH, min_length=MIN_LENGTH, cache=kept)


def reopened(path: Path, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory() as kept:
        options = {"max_length": MAX_LENGTH, "min_length": MIN_LENGTH, "cache": kept}
        open_corpus(path, tokenizer(), **options)
        return [seconds(lambda: open_corpus(path, tokenizer(), **options)) for _ in range(rounds)]


@cache
def peers_tokenizer() -> Any:
    return peer().DistilBertTokenizerFast(str(DATA / "vocab" / "bert-base-uncased" / "vocab.txt"))


def peers(path: Path) -> list[list[int]]:
    """A thousand texts at a time, and everything in lists."""
    fast = peers_tokenizer()
    room, texts, rows = MAX_LENGTH - 2, iter(list(read_texts(path))), []
    while chunk := list(islice(texts, 1000)):
        for ids in fast(chunk, add_special_tokens=False, return_attention_mask=False)["input_ids"]:
            for start in range(0, len(ids), room):
                made = [fast.cls_token_id, *ids[start : start + room], fast.sep_token_id]
                if len(made) >= MIN_LENGTH and made.count(fast.unk_token_id) < 0.5 * len(made):
                    rows.append(made)
    return rows


def peak_of_ours(path: Path) -> int:
    tokenizer()("text")  # is no part of what it needs, nor are the peer's
    return peak_bytes(lambda: ours(path))


def peak_of_peers(path: Path) -> int:
    peers_tokenizer()("text")
    return peak_bytes(lambda: peers(path))


def show(
    times: dict[str, list[float]], memory: dict[str, int], characters: dict[str, int], *, quick: bool
) -> None:
    """A table for people, and a last line for programs."""
    middle = {name: statistics.median(found) for name, found in times.items()}
    table(
        ("", "M characters", "median s", "least", "most", "M characters/s", "peak MB"),
        [
            [
                name,
                f"{characters[name] / 1e6:.1f}",
                *(f"{x:.2f}" for x in (middle[name], min(found), max(found))),
                f"{characters[name] / middle[name] / 1e6:.2f}",
                f"{memory[name] / 1e6:.0f}" if name in memory else "",
            ]
            for name, found in times.items()
        ],
    )
    kind = ", quick" if quick else ""
    case = f"{characters['ours'] / 1e6:.0f} M characters{kind}"
    part = f"{characters['ours, a tenth'] / 1e6:.1f} M characters{kind}"
    other = "transformers fast tokenizer, texts and tokens in lists"
    one, two = middle["ours, a tenth"], middle["peer, a tenth"]
    less, more = memory["ours, a tenth"], memory["peer, a tenth"]
    rows = [
        row(case, "seconds", middle["ours"], "target: 3 minutes", 180.0, target=1.0),
        row(case, "peak_bytes", memory["ours"], "target: 1 GB", 1e9, target=1.0),
        row(part, "seconds", one, other, two, target=1.0),
        row(part, "peak_bytes", less, other, more, target=1.0),
    ]
    for made in rows:
        print(f"{made['case']}, {made['metric']}: {made['ratio']:.2f} times {made['peer']}")
    conclude("corpus", rows, ("tokenizers", "numpy"))


if __name__ == "__main__":
    main()
