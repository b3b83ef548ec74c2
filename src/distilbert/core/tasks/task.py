"""What every task says in its file, in one order; whoever trains, judges or answers asks nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from distilbert.core.config import EncoderConfig
from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.tasks.examples import Examples, Numbered
from distilbert.core.tasks.metrics import Metric


class Answered(Protocol):
    """What a model says of one example; as text it is one line, its parts separated by tabs."""

    def as_dict(self) -> dict[str, Any]:
        """The same, for programs."""


class Task(Protocol):
    """A task of a folder. Its examples become items, each a row of tokens or several, and each item has
    logits.
    """

    name: ClassVar[str]
    head: ClassVar[Head]
    #: The names by which its columns can be asked for.
    columns: ClassVar[tuple[str, ...]]
    #: Its columns of what is to be answered, as examples have them, and that of the true answers.
    inputs: ClassVar[tuple[str, ...]]
    target: ClassVar[str]

    @property
    def single(self) -> bool:
        """Whether an example is one text."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What judges it, the first being what is said first."""

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table looks like one of this task."""

    @classmethod
    def read(
        cls,
        rows: Numbered,
        *,
        source: str,
        columns: Mapping[str, str],
        labelled: bool = True,
        files: bool = True,
    ) -> Examples:
        """Examples of a table's rows, under the task's own names of columns; unlabelled ones are to be
        answered.
        """

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set."""

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each item is to be told, of one number of axes; unknown where examples have no labels."""

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """The items that examples become, as a model reads them."""

    def answers(
        self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None
    ) -> Sequence[Answered]:
        """What the logits of all items say, an answer for each example; ``rows`` are what made the items."""

    def truth(self, examples: Examples, *, source: str) -> Any:
        """What is true, a row for each example, as the metrics take it."""

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Any:
        """What was answered, likewise."""

    def asked(self, examples: Examples, rows: TokenRows) -> Examples:
        """What a teacher is asked, that learns nothing of how this model takes texts to pieces."""

    def met(
        self,
        logits: Sequence[Array],
        asked: TokenRows,
        examples: Examples,
        rows: TokenRows,
        *,
        temperature: float,
    ) -> list[Array]:
        """A teacher's logits at this model's items; not a number where it says nothing.

        Args:
            logits: of the teacher's items, in the order of this task's labels.
            asked: those items.
            examples: this model's.
            rows: its items.
            temperature: at which the distributions are to be the same.
        """

    def configure(self, config: EncoderConfig) -> None:
        """Enter labels and kind into a model's configuration."""

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether the head of a folder with that configuration is one of this very task."""

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder, by its configuration and what ``distilbert.json`` remembers."""

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's; none where the last axis counts no
        labels.
        """
