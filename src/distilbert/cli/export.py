"""Write a model as a graph to take away: an ONNX file, or OpenVINO's own.

Whatever head the model has is in it; batches and texts of any length pass through. The folder has the layout
that Optimum, sentence-transformers and transformers.js load, with tokenizer and configuration.

  distilbert export classifier/ --format onnx --out classifier-onnx/
"""

import argparse

from distilbert.cli.display import Display
from distilbert.cli.flags import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a BERT or DistilBERT, with any head")
    parser.add_argument("--format", required=True, choices=("onnx", "openvino"), help="what to write")
    add_output(parser, what="the new folder")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.engine.export import export

    made = export(args.model, to=args.format, out=args.out, force=args.force)
    display.result(
        f"{args.out}: {made.head}, {made.bytes / 1e6:.1f} MB of {made.to}, giving {', '.join(made.outputs)}.",
        vars(made),
    )
