"""The models that ``engine.py`` answers with, and what ``distilbert.optimize`` keeps of them on this machine.

Both stay under ``build/engine``, where the next run finds them, as optimising takes minutes.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import DATA, ragged_texts, say, table

#: Models, environments of peers, and what peers make of a model.
PLACE = Path(__file__).resolve().parents[1] / "build" / "engine"

#: Rows of these files set ranges and judge; none of them is timed.
LEARNT = {"sst2.train": 120, "ag_news.train_part": 120, "imdb.train_2500": 60}

#: Of a model that is there to show that the benchmark works.
SMALL = {"n_layers": 2, "dim": 128, "n_heads": 2, "hidden_dim": 512}

#: What weights that nothing was learnt by cannot keep: any rounding turns some of their answers.
LOOSE = {"agreement": 0.0, "metric_loss": 100.0, "labelled": False}


def size_of(small: bool) -> str:
    return "a small model" if small else "the published size"


def classifier(*, small: bool) -> Path:
    """A DistilBERT with random weights that tells two labels apart, optimised."""
    return _optimized(f"classifier{'-small' * small}", _write_classifier(small), _texts(small), **LOOSE)


def embedder(*, small: bool) -> Path:
    """Another one that makes the mean of a text's states its vector, optimised."""
    return _optimized(f"embedder{'-small' * small}", _write_embedder(small), _texts(small), **LOOSE)


def _optimized(name: str, write: Callable[[Path], None], data: Any, **gate: Any) -> Path:
    folder = kept(name, write)
    optimize_once(folder, data, **gate)
    return folder


def kept(name: str, write: Callable[[Path], None]) -> Path:
    """A folder that is written once, and is there whole or not at all."""
    folder = PLACE / name
    if not folder.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PLACE) as scratch:
            made = Path(scratch, name)
            write(made)
            made.rename(folder)
    return folder


def optimize_once(folder: Path, data: Any, **gate: Any) -> None:
    """Optimise a folder for this machine, unless that was done and holds."""
    from distilbert import optimize
    from distilbert.core.tasks.folders import TaskFolder
    from distilbert.engine.artefacts import find
    from distilbert.engine.model import Model

    if find(Model.of(TaskFolder.open(folder))) is not None:
        return
    say(f"optimise {folder.name}")
    made = optimize(folder, data(), **gate)
    print(f"\nwhat optimize tried of {folder.name}, {made.rows} texts judging; agreement: {made.counted}")
    shown = [
        [trial.name, *(_percent(trial), f"{trial.tokens_per_second or 0:.0f}", "chosen" * trial.chosen)]
        for trial in made.trials
        if not trial.untried
    ]
    table(("", "agreement", "tokens/s", ""), shown)


def _percent(trial: Any) -> str:
    return "" if trial.verdict is None else f"{trial.verdict.agreement or 0:.1%}"


def _texts(small: bool) -> Callable[[], list[dict[str, str]]]:
    return lambda: [{"text": text} for text in ragged_texts(0.2 if small else 1.0, LEARNT)]


def _write_classifier(small: bool) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        import torch

        from distilbert import DistilBertForSequenceClassification

        names = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
        model, tokenizer = _write(folder, DistilBertForSequenceClassification, small, **names)
        # Each label is told of about half the texts, so that answers can be wrong.
        with torch.inference_mode():
            given = tokenizer(ragged_texts(0.1, LEARNT), truncation=True, padding=True, return_tensors="pt")
            model.classifier.bias -= model.eval()(**given).logits.median(dim=0).values
        model.save_pretrained(folder)

    return write


def _write_embedder(small: bool) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from distilbert import DistilBertModel
        from distilbert.core.sentence_folders import SentenceModules, write_modules

        _write(folder, DistilBertModel, small)
        write_modules(folder, SentenceModules(max_seq_length=512))

    return write


def _write(folder: Path, kind: Any, small: bool, **more: Any) -> tuple[Any, Any]:
    """A model and its tokenizer, which are left there."""
    import torch

    from distilbert import DistilBertConfig, DistilBertTokenizerFast

    torch.manual_seed(0)
    # At the usual 0.02 every text would get about the same answer.
    config = DistilBertConfig(initializer_range=0.05, **(SMALL if small else {}), **more)
    model = kind(config)
    model.save_pretrained(folder)
    vocabulary = DATA / "vocab" / "bert-base-uncased" / "vocab.txt"
    tokenizer = DistilBertTokenizerFast(vocabulary, model_max_length=512)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def forget() -> None:
    """Have all models made anew, and what peers make of them; their environments stay."""
    for path in PLACE.glob("*"):
        if path.is_file():
            path.unlink()
        elif not path.name.startswith("environment-"):
            shutil.rmtree(path)


def require_data() -> None:
    if not DATA.is_dir():
        sys.exit(f"No data folder {DATA}: set DISTILBERT_DATA.")
