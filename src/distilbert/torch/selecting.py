"""The best weights of a run, by looks at examples to judge by: kept here, and put back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from distilbert.core.training.selecting import Looks
from distilbert.core.training_log import TrainingLog
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.processes import Alone, added


@dataclass
class Selection(Looks):
    """Looks, and the weights at the best of them."""

    model: PreTrainedModel
    #: What learns with the model, and is kept like it.
    extra: nn.Module = field(default_factory=nn.Module)

    def look(self, log: TrainingLog, step: int, total_steps: int, processes: Alone) -> bool:
        """Enter what the model comes to after a step of so many; whether there is use in going on.

        The first process looks, and all of them hear what it saw: of two that looked each would have its own
        rounding, and one might stop where the other goes on.
        """
        found = dict(self.seen()) if processes.is_first else {}
        if processes.count > 1:
            found = added(processes, found, processes.everyones(found))
        return self.entered(found, log, step, total_steps)

    def learnt(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self._learning().items()}

    def put_back(self) -> None:
        with torch.no_grad():
            for name, parameter in self._learning().items():
                if name in self.weights:
                    parameter.copy_(self.weights[name])

    def seen(self) -> Mapping[str, float]:
        training = self.model.training
        self.model.eval()
        try:
            return self.judge()
        finally:
            self.model.train(training)

    def _learning(self) -> dict[str, torch.nn.Parameter]:
        learning = [*self.model.named_parameters(), *self.extra.named_parameters(prefix="extra")]
        return {name: p for name, p in learning if p.requires_grad}
