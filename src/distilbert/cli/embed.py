"""Turn texts into vectors that lie close together where texts mean the same.

The vectors stand in the order of the texts: as an array in .npy or .safetensors, or each beside its text in
.jsonl.

  distilbert embed --model encoder/ --text texts.txt --out vectors.npy
  distilbert embed --model bert/ --text table.csv --pooling cls --normalize --out vectors.jsonl
"""

import argparse
import time
from itertools import islice
from pathlib import Path

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine
from distilbert.core.data.sources import read_texts
from distilbert.core.pooling import POOLINGS
from distilbert.core.vector_files import vector_kind, writing_vectors

#: Texts embedded at a time: enough to sort by length, few enough that any number of them fits.
_CHUNK = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="a sentence-embedding model, or any encoder"
    )
    parser.add_argument(
        "--text",
        required=True,
        metavar="FILE",
        help="a .txt (a text a line), .jsonl, .csv, .tsv (also as .gz, .bz2, .xz, .zst) or .parquet",
    )
    parser.add_argument("--text-column", metavar="NAME", help="the file's column with the text")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="a .npy, .safetensors or .jsonl; it is replaced"
    )
    parser.add_argument(
        "--pooling",
        choices=tuple(POOLINGS),
        help="how states become a vector (what the folder says, or mean)",
    )
    parser.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        help="give all vectors the length one (what the folder says)",
    )
    parser.add_argument("--prompt", metavar="NAME", help="which of the folder's prompts to put before texts")
    parser.add_argument("--batch-size", type=int, default=32, help="texts in memory at once (%(default)s)")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="of products (%(default)s)"
    )
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.embedder import Embedder

    out = Path(args.out)
    vector_kind(out)
    texts = read_texts(args.text, column=args.text_column, every_row=True)
    first = list(islice(texts, _CHUNK))
    embedder = Embedder.open(
        args.model,
        pooling=args.pooling,
        normalize=args.normalize,
        device=args.device,
        precision=args.precision,
    )
    started, cut = time.perf_counter(), 0
    with writing_vectors(out, width=embedder.width) as file:
        chunk = first
        while chunk:
            vectors, cut_here = embedder.encode_and_cut(
                chunk, prompt=args.prompt, batch_size=args.batch_size, progress=display.progress
            )
            file.add(chunk, vectors)
            cut += cut_here
            chunk = list(islice(texts, _CHUNK))
    seconds = time.perf_counter() - started
    facts = {
        "out": str(out),
        "texts": file.count,
        "width": embedder.width,
        "cut_to_max_length": cut,
        "max_length": embedder.max_length,
        "seconds": round(seconds, 2),
    }
    said = f" {cut} were longer than {embedder.max_length} tokens and were cut to that." if cut else ""
    display.result(
        f"{out}: {file.count} vectors of {embedder.width} numbers in {seconds:.1f} s.{said}", facts
    )
