"""How much memory does it take to make a million rows of a table ready for fine-tuning, and how long?

Phrases of sst2, over and over, each with its number before it so that no two are the same, in a .csv: read,
a tenth held out, told apart from the rest, tokenised, and turned into targets, as `finetune` does before its
first step. The peak is the whole process's; PyTorch, which takes no part in it, is not loaded.

  python benchmarks/preparing.py            a million rows; some minutes
  python benchmarks/preparing.py --quick    a tenth of them
"""

import argparse
import csv
import gzip
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import DATA, conclude, row, say, seconds, table

from distilbert import DistilBertTokenizerFast, read_examples
from distilbert.core.data.readers import OwnReader
from distilbert.core.tasks.examples import shared
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.splitting import split

ROWS, MAX_LENGTH = 1_000_000, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    rows = ROWS // (10 if args.quick else 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write(path, rows)
        say(f"{path.stat().st_size / 1e6:.0f} MB written")
        tokenizer = DistilBertTokenizerFast.from_pretrained(DATA / "vocab" / "bert-base-uncased")
        before = peak()
        kept: list[Any] = []
        spent = seconds(lambda: kept.extend(prepare(path, tokenizer)))
    most = peak()
    table(
        ["", "rows", "s", "peak MB", "of which before"],
        [["prepared", f"{rows:,}", f"{spent:.1f}", f"{most / 1e6:.0f}", f"{before / 1e6:.0f}"]],
    )
    found = row(f"{rows} rows", "peak_bytes", most, "target: 2 GB", 2e9, target=1.0)
    conclude("preparing", [found], ["tokenizers", "numpy"])


def write(path: Path, rows: int) -> None:
    with gzip.open(DATA / "tasks" / "sst2.train.jsonl.gz", "rt", encoding="utf-8") as file:
        phrases = [json.loads(line) for line in file]
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "label"])
        for i in range(rows):
            phrase = phrases[i % len(phrases)]
            writer.writerow([f"{i} {phrase['text']}", phrase["label"]])


def prepare(path: Path, tokenizer: DistilBertTokenizerFast) -> list[Any]:
    known, judged = split(read_examples(path), share=None, seed=0)
    assert judged is not None
    assert shared(known, judged) == 0
    say("read and split")
    task = SequenceClassification.of(known)
    made: list[Any] = []
    for examples in (known, judged):
        rows = task.encode(OwnReader(tokenizer), examples, max_length=MAX_LENGTH)
        made += [rows, task.targets(examples, rows, source="the table")]
    return [known, judged, *made]


def peak() -> int:
    """The most memory that this process has held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
