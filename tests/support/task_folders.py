"""Fine-tuned folders of every task, with random weights that are large enough to tell answers apart."""

from pathlib import Path
from typing import Any

from graphs import model_with
from small_files import WORDS, sentences
from task_files import KINDS, Rows

from distilbert import BertConfig, DistilBertConfig, DistilBertTokenizerFast
from distilbert.core.model_folders import save_folder
from distilbert.core.pooling import Dense, Normalize, Pooling
from distilbert.core.sentence_folders import SentenceModules, write_modules
from distilbert.core.tasks.reading import as_examples, task_named
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding

#: Of each task, what its rows are made by.
ROWS = {
    "sequence-classification": None,
    "pairs": "pairs",
    "multi-label-classification": "several",
    "regression": "scored",
    "multiple-choice": "choices",
    "token-classification": "tagged",
    "question-answering": "asked",
    "sentence-embedding": "alike",
}


def rows_of(name: str, count: int = 12, *, seed: int = 0) -> Rows:
    """Rows for a task, with their answers."""
    kind = ROWS[name]
    if kind is None:
        texts, labels = sentences(count, seed=seed)
        return [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    return KINDS[kind](count, seed=seed)


def write_task_folder(
    folder: Path, name: str, *, bert: bool = False, longest: int = 24, **facts: Any
) -> Path:
    """A model of a task, as a training leaves it."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = DistilBertTokenizerFast(folder / "vocab.txt", model_max_length=longest)
    examples = as_examples(rows_of(name, 40), task="sequence-classification" if name == "pairs" else name)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = (BertConfig if bert else DistilBertConfig)(
        vocab_size=len(WORDS), max_position_embeddings=longest, **(sizes if bert else _named(sizes))
    )
    task = task_named(examples.task).of(examples)
    if isinstance(task, SentenceEmbedding):
        modules = SentenceModules(Pooling(("mean", "cls")), (Dense(_mixing(), None), Normalize()))
        write_modules(folder, modules)
    task.configure(config)
    given = {"task": task.facts(), "max_length": longest, **facts}
    save_folder(folder, model_with(config, task.head), tokenizer, given)
    return folder


def _named(sizes: dict[str, int]) -> dict[str, int]:
    ours = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
    return {ours.get(name, "hidden_dim"): size for name, size in sizes.items()}


def _mixing() -> Any:
    import numpy as np

    return np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32) / 8
