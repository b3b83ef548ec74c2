"""What is likely wrong with any run here, as far as a model or a step of it must be looked at."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distilbert.core.recipe import Training
from distilbert.core.training.course import Course
from distilbert.core.training.findings import Finding, of_rate, of_ruined, of_step
from distilbert.core.training_log import TrainingLog
from distilbert.keras.device import computes_in_bf16, device_of, policy_of
from distilbert.keras.train import Learner, Objective


def of_all(
    objective: Objective, recipe: Training, models: Mapping[str, Any], *, remedy: str
) -> list[Finding]:
    """What every run is asked: its rate, its weights, and its signal (with a ``remedy``)."""
    found, ruined = [*of_rate(recipe)], False
    for name, model in models.items():
        wrong = [key for key, array in model.arrays().items() if not np.isfinite(array).all()]
        found += of_ruined(name, wrong, model.manifest)
        ruined |= bool(wrong)
    weights = {name: weight for name, weight in objective.weights.items() if weight}
    batches = next(objective.steps(0, slice(0, None, 1)))
    if ruined or not weights or not batches:
        return found
    own = objective.model
    device = device_of(own)

    def step(precision: str) -> tuple[float, dict[str, float]]:
        with own.computing_in(policy_of(device, precision)):
            learner = Learner(objective, recipe, Course(own, objective.extra, None, TrainingLog()))
            means, _ = learner.accumulate(batches)
            return learner.clip(), {**means, "total": sum(weights[n] * mean for n, mean in means.items())}

    rough = computes_in_bf16(device, recipe.precision)
    return [*found, *of_step(step, recipe, weights, rough=rough, remedy=remedy)]
