"""The six classes at a size at which a hundred of them cost nothing, and what each can be given."""

from pathlib import Path
from typing import Any

import torch
from models import scatter

import distilbert
from distilbert import DistilBertConfig

CLASSES = (
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertForMultipleChoice",
    "DistilBertForTokenClassification",
    "DistilBertForQuestionAnswering",
)

#: Rates of zero, so that two runs of one model are the same.
STILL = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0, "qa_dropout": 0.0}


def tiny_config(**changes: Any) -> DistilBertConfig:
    sizes = {
        "vocab_size": 60, "max_position_embeddings": 24, "n_layers": 2, "n_heads": 4, "dim": 32,
        "hidden_dim": 64,
    }  # fmt: skip
    return DistilBertConfig(**{**sizes, **STILL, **changes})


def tiny(name: str, **changes: Any) -> Any:
    """A model in eval mode whose every part matters."""
    return scatter(getattr(distilbert, name)(tiny_config(**changes)))


def ragged(name: str, rows: int, length: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and a mask; for a multiple choice of two texts a row."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, 2, length) if name.endswith("MultipleChoice") else (rows, length)
    input_ids = torch.randint(1, 60, shape, generator=generator)
    lengths = torch.randint(1, length + 1, shape[:-1], generator=generator)
    return input_ids, (torch.arange(length) < lengths[..., None]).long()


def answers(name: str, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Labels that the class takes, made of the ids."""
    rows = input_ids.flatten(1)[:, 0]
    if name.endswith("MaskedLM"):
        return {"labels": input_ids.clone()}
    if name.endswith("TokenClassification"):
        return {"labels": input_ids % 2}
    if name.endswith("QuestionAnswering"):
        return {"start_positions": rows * 0, "end_positions": rows * 0}
    return {} if name.endswith("Model") else {"labels": rows % 2}


TEXTS = (
    "john smith lives in new york and works at acme .",
    "it is bad",
    "a film of rare charm , and of rare length",
    "no",
    "paris is the capital of france .",
    "unlivable , unworkable , unlike it",
)


def tokenizers(folder: Path) -> tuple[Any, Any]:
    """Our tokenizer and the peer's over one small vocabulary: the words above, and their pieces."""
    words = dict.fromkeys(word for text in TEXTS for word in text.split() if not word.startswith("un"))
    pieces = [
        *(f"##{word}" for word in ("s", "able", "livable", "workable", "like", "un", "on")),
        "un",
        "hens",
    ]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *pieces]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    ours = distilbert.DistilBertTokenizerFast.from_pretrained(folder)
    ours.save_pretrained(folder)
    from transformers import DistilBertTokenizerFast

    return ours, DistilBertTokenizerFast.from_pretrained(folder)
