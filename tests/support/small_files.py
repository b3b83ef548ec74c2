"""A tiny language, its texts and its models, for whole runs in seconds."""

import csv
from pathlib import Path

import numpy as np
import torch

from distilbert import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertTokenizerFast
from distilbert.core.model_folders import save_folder
from distilbert.torch.auto import AutoModelForSequenceClassification

SUBJECTS = {
    "food": ["bread", "soup", "apple", "cheese", "kitchen", "cook", "plate", "salt", "taste", "dinner"],
    "music": ["piano", "song", "choir", "drum", "melody", "concert", "tune", "singer", "chord", "note"],
    "sport": ["ball", "team", "goal", "match", "runner", "coach", "score", "race", "field", "medal"],
}
FILLERS = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "it",
    "that",
    "was",
    "for",
    "on",
    "with",
    "as",
    "at",
    "by",
    "this",
]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIALS, *FILLERS, *(word for words in SUBJECTS.values() for word in words)]


def sentences(count: int, *, seed: int = 0, words: int = 14) -> tuple[list[str], list[str]]:
    """Texts about one subject each, and the subjects."""
    rng = np.random.default_rng(seed)
    labels = [str(label) for label in rng.choice(list(SUBJECTS), count)]
    texts = []
    for label in labels:
        length = int(rng.integers(words - 4, words + 4))
        texts.append(
            " ".join(
                str(rng.choice(SUBJECTS[label] if rng.random() < 0.7 else FILLERS)) for _ in range(length)
            )
        )
    return texts, labels


def write_table(path: Path, texts: list[str], labels: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *zip(texts, labels, strict=True)])
    return path


def write_texts(path: Path, texts: list[str]) -> Path:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def write_teacher(folder: Path, *, layers: int = 4, seed: int = 0) -> Path:
    """A BERT with its masked-language-model head, untrained, of a width that runs in no time."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=32,
        initializer_range=0.15,  # at the usual 0.02 so narrow a model hardly passes its input on
    )
    tokenizer = DistilBertTokenizerFast(folder / "vocab.txt", model_max_length=32)
    save_folder(folder, BertForMaskedLM(config), tokenizer, {"made_by": "test"})
    return folder


def write_entailment(folder: Path, *, bert: bool = True, labels: tuple[str, ...] = (), seed: int = 0) -> Path:
    """A classifier of pairs with random weights, large enough that its answers differ."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join([*WORDS, *SUBJECTS, "example", "."]) + "\n")
    torch.manual_seed(seed)
    names = labels or ("contradiction", "neutral", "entailment")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    if not bert:
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    config = (BertConfig if bert else DistilBertConfig)(
        vocab_size=len(WORDS) + 5,
        max_position_embeddings=32,
        initializer_range=0.4,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        **sizes,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    tokenizer = DistilBertTokenizerFast(folder / "vocab.txt", model_max_length=32)
    save_folder(folder, model, tokenizer, {"made_by": "test"})
    return folder
