"""What a run is to the wing that trains it: a job, and what of its outside is the wing's own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from distilbert.core.copies import Copies
from distilbert.core.progress import Progress
from distilbert.core.recipe import Training
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import Keeper, Watch, unwatched
from distilbert.core.training.findings import Finding
from distilbert.core.training.selecting import Looks
from distilbert.core.training_log import TrainingLog
from distilbert.core.weight_files import Arrays


@dataclass
class Job:
    """A run that is ready to start: what learns, from what, and what is known of it."""

    stage: str
    model: Any
    tokenizer: DistilBertTokenizerFast
    objective: Any
    recipe: Training
    total_steps: int
    #: Keys of parameters that the folder did not have.
    new_weights: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    #: Adds what is known only after the training, such as scores.
    conclude: Callable[[], dict[str, Any]] = dict
    #: What is likely wrong with it.
    examine: Callable[[], Sequence[Finding]] = tuple
    #: Looks in between, and the best weights.
    selection: Looks | None = None
    #: Writes what else the model's folder holds.
    finish: Callable[[Path], None] | None = None
    #: About how many seconds ``conclude`` takes.
    concluding: Callable[[], float] = float


class Group(Protocol):
    """The processes that learn together, this one among them."""

    @property
    def device(self) -> Any:
        """That this process computes on."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def rank(self) -> int:
        """Its number among them."""

    @property
    def is_first(self) -> bool:
        """Whether it is who writes and who is heard."""

    def agreed(self, number: int) -> int:
        """The first process's number, which is everyone's."""

    def wait(self) -> None:
        """Until all others are here."""


@dataclass(frozen=True)
class Alone:
    """A group of this process, and no other."""

    device: Any
    count: int = 1
    rank: int = 0
    is_first: bool = True

    def agreed(self, number: int) -> int:
        return number

    def wait(self) -> None:
        pass


class Wing(Protocol):
    """What of a run is a wing's own."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a folder says of it; a run goes on in the wing that it began in."""

    def group(self, device: str) -> Group:
        """The processes that this one was started with, on the device of this name."""

    def alone(self, device: str) -> Group:
        """This process alone."""

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """Everything drawn inside comes from the seed; the caller's generator is afterwards as it was."""

    def arrays(self, model: Any) -> Arrays:
        """The model's parameters, as its folder will have them."""

    def save(
        self, folder: Path, model: Any, tokenizer: DistilBertTokenizerFast, facts: Mapping[str, Any]
    ) -> None:
        """Write a complete model folder."""

    def keeper(
        self,
        copies: Copies,
        save: Callable[[Path, Mapping[str, Any]], None],
        facts: Mapping[str, Any],
        group: Any,
    ) -> Keeper:
        """What keeps copies of a run: each a folder that ``save`` writes, and what else goes on with it."""

    def tracked(
        self, kind: str | None, out: str | Path, settings: Mapping[str, Any], group: Any
    ) -> AbstractContextManager[Watch]:
        """What tells a tracker of a run, while this lasts."""

    def require_tracker(self, kind: str) -> None:
        """Refuse a tracker that cannot be told."""

    def train(
        self,
        job: Job,
        recipe: Training,
        group: Any,
        *,
        total_steps: int,
        stage: str,
        progress: Progress,
        keeper: Keeper | None = None,
        stop_after: int | None = None,
        watch: Watch = unwatched,
        selection: Looks | None = None,
    ) -> TrainingLog:
        """Train the job's model in place."""

    def judge(self, objective: Any, recipe: Training, group: Any) -> None:
        """Look at what is held out, to see how long that takes."""

    def undisturbed(self, job: Job) -> AbstractContextManager[None]:
        """The model, and what is drawn, are afterwards as they were."""

    def peak_memory(self, device: Any) -> int | None:
        """The most memory that has been held, in bytes, where the device tells."""
