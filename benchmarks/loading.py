"""Do other programs load what we write? Exported and optimised folders, by Optimum's classes.

For each head a small model with random weights is exported as ONNX and for OpenVINO, and a classifier is
optimised for both. Optimum's classes, in environments of their own, load each folder as it lies there and are
asked about the same padded texts: of exported folders they must give what our PyTorch model gives, of
optimised ones what our runtime gives.

  python benchmarks/loading.py    some minutes, most of which pip takes; a model takes seconds
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from engine_elsewhere import started
from engine_models import LOOSE
from measuring import conclude, row, say, table

import distilbert

#: Our class and what Optimum calls its own, after its prefix.
HEADS = (
    ("DistilBertModel", "FeatureExtraction"),
    ("DistilBertForMaskedLM", "MaskedLM"),
    ("DistilBertForSequenceClassification", "SequenceClassification"),
    ("DistilBertForTokenClassification", "TokenClassification"),
    ("DistilBertForQuestionAnswering", "QuestionAnswering"),
    ("BertForSequenceClassification", "SequenceClassification"),
)
#: Optimum's package for each format, and the prefix of its classes.
PACKAGES = {"onnx": ("optimum-onnx", "ORTModelFor"), "openvino": ("optimum-intel", "OVModelFor")}
ALLOWED = 1e-5
SIZES = {
    "DistilBert": {"dim": 64, "n_heads": 4, "n_layers": 2, "hidden_dim": 128},
    "Bert": {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
    },
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(95))]


@dataclass(frozen=True)
class Case:
    """A folder, and what is to come of it."""

    name: str
    kind: str
    folder: Path
    given: dict[str, Any]
    wanted: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.parse_args()
    rows, shown, versions = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for to, (package, prefix) in PACKAGES.items():
            other = started(package, make=True)
            if isinstance(other, str):
                sys.exit(f"{package} cannot be had here.")
            with other:
                versions.append(other.versions)
                for case in cases(Path(scratch), to):
                    apart = difference(other, case, prefix)
                    shown.append(
                        [
                            f"{prefix}{case.kind}: {case.name}",
                            apart if isinstance(apart, str) else f"{apart:.1e}",
                        ]
                    )
                    found = float("inf") if isinstance(apart, str) else max(apart, 1e-9)
                    rows.append(row(f"{prefix}{case.kind}: {case.name}", "greatest_difference", found,
                                    "what is allowed", ALLOWED, target=1.0))  # fmt: skip
    print("\nwhat Optimum's classes give of our folders, beside what our own model or runtime gives")
    table(("", "apart"), shown)
    print("; ".join(versions))
    conclude("loading", rows, ("onnxruntime", "openvino", "nncf", "torch"))
    if any(made["ratio"] < 1 for made in rows):
        sys.exit("Not all folders were loaded and gave the same.")


def cases(scratch: Path, to: str) -> Iterator[Case]:
    given = {name: values.numpy() for name, values in batch().items()}
    for ours, kind in HEADS:
        say(f"{to}: {ours}")
        model, folder = write(scratch / ours, ours)
        out = scratch / f"{ours}-{to}"
        distilbert.export(folder, to=to, out=out)
        asked = dict(given)
        if ours.startswith("Bert"):
            asked["token_type_ids"] = np.zeros_like(given["input_ids"])
        with torch.inference_mode():
            found = model(**{name: torch.from_numpy(values) for name, values in asked.items()})
        wanted = {name: values.numpy() for name, values in found.items()}
        yield Case(f"{ours}, exported", kind, out, asked, wanted)
    ours, kind = HEADS[2]
    say(f"{to}: {ours}, optimised")
    folder = scratch / ours
    precision = optimized(folder, to)
    with distilbert.load(folder) as engine:
        runtime = engine._computer._opened
        logits, *_ = runtime.run(given)
        place = next((folder / "runtimes").iterdir())
        yield Case(f"{ours}, optimised: {to} {precision}", kind, place, given, {"logits": logits})


def write(folder: Path, ours: str) -> tuple[Any, Path]:
    """A model with random weights, as large as shows what is wrong."""
    torch.manual_seed(0)
    sizes = SIZES["Bert" if ours.startswith("Bert") else "DistilBert"]
    settings = {"vocab_size": len(WORDS), "max_position_embeddings": 64, "initializer_range": 0.2}
    config = getattr(distilbert, f"{'Bert' if ours.startswith('Bert') else 'DistilBert'}Config")(
        **sizes, **settings
    )
    model = getattr(distilbert, ours)(config).eval()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    distilbert.DistilBertTokenizerFast(folder / "vocab.txt", model_max_length=64).save_pretrained(folder)
    return model, folder


def optimized(folder: Path, to: str) -> str:
    """Optimise for one runtime, where 8 bits win whatever they take: their file is what is looked at."""
    rng = np.random.default_rng(0)
    rows = [{"text": " ".join(rng.choice(WORDS[5:], 12))} for _ in range(60)]

    def fast(runtimes: Any, *_: Any, **__: Any) -> dict[str, float]:
        return {name: 2.0 if name == f"{to} int8" else 1.0 for name in runtimes}

    with patch("distilbert.engine.optimize.rates", fast):
        made = distilbert.optimize(folder, rows, runtimes=[to], **LOOSE)
    if made.chosen.precision != "int8":
        sys.exit(f"8 bits were not kept for {to}.")
    return made.chosen.precision


def batch() -> dict[str, torch.Tensor]:
    """Texts of several lengths, padded."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, len(WORDS), (4, 16), generator=generator)
    mask = (torch.arange(16) < torch.tensor([[16], [9], [3], [1]])).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


def difference(other: Any, case: Case, prefix: str) -> float | str:
    """By how much what is live differs at most, or why there is nothing to compare."""
    given = {name: values.tolist() for name, values in case.given.items()}
    found = other.ask("outputs", kind=f"{prefix}{case.kind}", folder=str(case.folder), given=given)
    if isinstance(found, str):
        return found
    if missing := case.wanted.keys() - found.keys():
        return f"without {', '.join(missing)}"
    live = case.given["attention_mask"] > 0
    apart = 0.0
    for name, wanted in case.wanted.items():
        values = np.array(found[name])
        if values.shape != wanted.shape:
            return f"{name} {values.shape} in place of {wanted.shape}"
        per_token = wanted.ndim > 1 and wanted.shape[:2] == live.shape
        apart = max(apart, float(np.abs(values - wanted)[live if per_token else ...].max()))
    return apart


if __name__ == "__main__":
    main()
