"""How this wing runs a job: one process, on one device; ``core/training`` has the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from distilbert.core.checkpoint import LoadReport
from distilbert.core.training.lone import LoneWing
from distilbert.core.training.runs import peak_of_process
from distilbert.core.training.wing import Job
from distilbert.jax.device import pick_device
from distilbert.jax.train import Learner


class _Jax(LoneWing):
    """JAX, as a run asks it."""

    name = "JAX"
    backend = "jax"
    learner = Learner

    def pick_device(self, name: str) -> Any:
        return pick_device(name)

    def load(self, model: Any, folder: Path) -> LoadReport:
        device = model.device
        report = super().load(model, folder)
        model._assign(jax.device_put(model._leaves(), device))
        return report

    def held(self, model: Any, array: Any) -> Any:
        return jax.device_put(array, model.device)

    @contextmanager
    def undisturbed(self, job: Job) -> Iterator[None]:
        # No step changes an array: it makes others.
        leaves, extra = job.model._leaves(), dict(job.objective.extra)
        yield
        job.model._assign(leaves)
        job.objective.extra.update(extra)

    def peak_memory(self, device: Any) -> int | None:
        if device.platform == "cpu":
            return peak_of_process()
        return (device.memory_stats() or {}).get("peak_bytes_in_use")


JAX = _Jax()
