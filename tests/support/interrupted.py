"""A distillation in a process of its own, which can be killed."""

from pathlib import Path
from typing import Any

from small_files import sentences

from distilbert import LanguageModelling

RECIPE = LanguageModelling(
    steps=260, batch_size=8, micro_batch_size=4, max_length=24, min_length=3, dropout=0.1, checkpoint_every=4,
    learning_rate=1e-3, held_out=10, judge_every=25, precision="fp32",
)  # fmt: skip


def distil(teacher: Path, out: Path, steps_done: Any = None, **options: Any) -> None:
    """Distil two layers of a tiny teacher; tells how far it is through a shared number."""
    import torch

    from distilbert.torch.distill import Distiller

    def progress(stage: str, done: int, total: int | None, facts: Any) -> None:
        if stage == "distil" and steps_done is not None:
            steps_done.value = done

    torch.set_num_threads(1)
    texts = [text for words in (6, 12) for text in sentences(60, words=words, seed=words)[0]]
    Distiller(teacher, layers=2, recipe=RECIPE, device="cpu", progress=progress).run(
        texts, out=out, **options
    )
