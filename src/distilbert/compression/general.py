"""General distillation before the task's: a candidate reads text beside the model that it was cut from."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilbert.compression.candidates import Beginnings, Shape
from distilbert.core.checkpoint import survey
from distilbert.core.config import read_config
from distilbert.core.parameters import Head, manifest
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning, LanguageModelling
from distilbert.core.sentence_folders import encoder_folder

#: Words from where on a text is worth it; of less, a few hundred steps of reading change nothing that shows
#: (``benchmarks/results/quickstart.txt``), and the time is better spent on the task.
ENOUGH_WORDS = 200_000

#: Of a model that was fine-tuned and has no head for words, its states alone are learnt: the last ones'
#: direction, and those of layers in between.
_OF_STATES: dict[str, Any] = {
    "masked_lm_weight": 0.0,
    "distribution_weight": 0.0,
    "cosine_weight": 1.0,
    "hidden_weight": 1.0,
}


class General:
    """
    Args:
        base: that students are cut from.
        begun: makes them.
        texts: to read.
        work: keeps what was distilled.
        recipe: of the task's trainings, whose length of texts and seed are kept.
        device: that is trained on.
        progress: told of every step.
    """

    def __init__(
        self,
        base: Path,
        begun: Beginnings,
        texts: Sequence[str],
        work: Path,
        *,
        recipe: Finetuning,
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self._begun, self._texts, self._work = begun, texts, work
        self._device, self._progress = device, progress
        place = encoder_folder(base)
        config = read_config(place)
        self._sizes = config.n_layers, config.dim
        headless = bool(survey(place, manifest(config, Head.MASKED_LM), config).missing)
        self._recipe = LanguageModelling(
            seed=recipe.seed, max_length=recipe.max_length, **(_OF_STATES if headless else {})
        )

    def worth_it(self) -> bool:
        """Whether there is enough text."""
        return sum(text.count(" ") + 1 for text in self._texts) >= ENOUGH_WORDS

    def pace(self, shapes: Sequence[Shape]) -> dict[str, tuple[float, float]]:
        """Of each shape by its slug, but the model's own, the seconds of a step and of what stands around."""
        found = {}
        for shape in shapes:
            if (shape.layers, shape.dim) != self._sizes:
                started = time.perf_counter()
                plan = self._distiller(shape, None).rehearse(self._texts)
                found[shape.slug] = plan.seconds_per_step, time.perf_counter() - started
        return found

    def folder(self, shape: Shape, steps: int) -> Path:
        """A candidate that has read; one that is there is taken as it is."""
        folder = self._work / "general" / shape.slug
        if not folder.exists():
            self._distiller(shape, steps).run(self._texts, out=folder, resume=True)
        return folder

    def _distiller(self, shape: Shape, steps: int | None) -> Any:
        from distilbert.torch.distill import Distiller

        whole = Shape(*self._sizes, shape.vocabulary)
        return Distiller(
            self._begun.folder(whole),
            student=self._begun.folder(shape),
            recipe=self._recipe.with_changes(steps=steps),
            device=self._device,
            progress=self._progress,
        )
