"""Judge a classifier by a table of texts and labels.

Accuracy and macro-F1, each with a 95% interval over resamples of the rows.

  distilbert evaluate --model classifier/ --data test.csv
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine
from distilbert.core.tasks import LabelledTexts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a fine-tuned classifier")
    parser.add_argument(
        "--data", required=True, metavar="FILE", help="a .csv, .tsv, .jsonl or .parquet of texts and labels"
    )
    parser.add_argument("--text-column", metavar="NAME", help="the column with the text")
    parser.add_argument("--label-column", metavar="NAME", help="the column with the label")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals' resampling (0)")
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.evaluate import evaluate

    data = LabelledTexts.read(args.data, text=args.text_column, label=args.label_column)
    scores = evaluate(args.model, data, seed=args.seed, device=args.device, progress=display.progress)
    lines = [
        f"{name:>10}  {scores[name]['value']:.4f}  "
        f"(95% interval {scores[name]['low']:.4f} to {scores[name]['high']:.4f})"
        for name in ("accuracy", "macro_f1")
    ]
    lines.append(f"{'rows':>10}  {scores['rows']}, of which {scores['cut_to_max_length']} were cut to length")
    display.result("\n".join(lines), scores)
