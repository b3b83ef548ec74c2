"""How this wing runs a job: one process, on one device; ``core/training`` has the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distilbert.core.training.lone import LoneWing
from distilbert.core.training.runs import peak_of_process
from distilbert.core.training.wing import Job
from distilbert.keras.device import pick_device
from distilbert.keras.tensors import tf
from distilbert.keras.train import Learner


class _Keras(LoneWing):
    """Keras, as a run asks it."""

    name = "Keras"
    backend = "keras"
    learner = Learner

    def pick_device(self, name: str) -> Any:
        return pick_device(name)

    @contextmanager
    def undisturbed(self, job: Job) -> Iterator[None]:
        arrays = job.model.arrays()
        extra = {name: held.numpy() for name, held in job.objective.extra.items()}
        yield
        job.model.assign(arrays)
        for name, array in extra.items():
            job.objective.extra[name].assign(array)

    def peak_memory(self, device: Any) -> int | None:
        if "GPU" not in device:
            return peak_of_process()
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


KERAS = _Keras()
