"""A folder of each head, as a server is given them."""

from pathlib import Path
from typing import Any

from models import scatter
from pipeline_cases import CLASSES, ENTAILED, TAGS
from task_folders import write_task_folder
from tiny import tiny, tokenizers

#: Of each name, the head and the configuration's fields.
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "classes": ("SequenceClassification", CLASSES),
    "entailed": ("SequenceClassification", ENTAILED),
    "ranks": ("SequenceClassification", {"num_labels": 1}),
    "tags": ("TokenClassification", {"id2label": TAGS}),
    "asked": ("QuestionAnswering", {}),
    "masks": ("MaskedLM", {}),
    "states": ("", {}),
}


def write_served_folders(place: Path, *names: str) -> dict[str, Path]:
    """Folders by name; "vectors" and "choices" are fine-tuned ones."""
    words = place / "vocabulary"
    words.mkdir(parents=True)
    tokenizer, _ = tokenizers(words)
    tokenizer.model_max_length = 24
    made = {}
    for name in names or (*HEADS, "vectors", "choices"):
        folder = made[name] = place / name
        if name in HEADS:
            head, fields = HEADS[name]
            kind = f"DistilBertFor{head}" if head else "DistilBertModel"
            model = scatter(tiny(kind, vocab_size=len(tokenizer), **fields))
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        else:
            task = {"vectors": "sentence-embedding", "choices": "multiple-choice"}[name]
            write_task_folder(folder, task)
    return made
