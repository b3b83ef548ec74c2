"""The best weights of a run, by looks at examples to judge by: kept here, and put back."""

from collections.abc import Mapping
from dataclasses import dataclass

from distilbert.core.training.selecting import Looks
from distilbert.core.training_log import TrainingLog
from distilbert.core.weight_files import Arrays
from distilbert.keras.pretrained import PreTrainedModel


@dataclass
class Selection(Looks):
    """Looks, and the weights at the best of them."""

    model: PreTrainedModel

    def look(self, log: TrainingLog, step: int, total_steps: int) -> bool:
        """Enter what the model comes to after a step of so many; whether there is use in going on."""
        return self.entered(self.seen(), log, step, total_steps)

    def learnt(self) -> Arrays:
        return self.model.arrays()

    def put_back(self) -> None:
        self.model.assign(self.weights)

    def seen(self) -> Mapping[str, float]:
        return self.judge()
