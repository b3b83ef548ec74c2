"""What all pipelines do alike: open a folder, and lead texts through it in lots."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

from distilbert.core.checkpoint import file_names, listed, require_encoder, survey
from distilbert.core.data.readers import OwnReader
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import Head, parameters_of
from distilbert.core.pooling import Pooling
from distilbert.core.sentence_folders import SentenceModules, encoder_folder, read_modules
from distilbert.core.sentence_texts import longest_text
from distilbert.engine.ahead import lots_of, through
from distilbert.engine.computer import Computer
from distilbert.engine.long_texts import check_on_long
from distilbert.engine.model import Model
from distilbert.engine.runtimes.workers import Workers
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Request, Row
from distilbert.errors import CheckpointError, ConfigError, DataError

#: What calls of the peer's may say that changes no answer.
_IDLE = ("batch_size", "num_workers", "padding")

#: What belongs to the computing.
_COMPUTING = ("runtime", "streams", "threads", "budget", "workers")


@dataclass(frozen=True)
class Begun:
    """Inputs as rows.

    Attributes:
        state: what their answers need beside what the model gives.
        rows: what the model reads.
        cut: texts that lost some of their tokens.
        dropped: these tokens.
        windowed: texts that are read in several windows.
    """

    state: Any
    rows: Sequence[Row]
    cut: int = 0
    dropped: int = 0
    windowed: int = 0


@dataclass(frozen=True)
class Call:
    """Inputs that are tokenised and not yet computed, for whoever does not wait in a call.

    Attributes:
        begun: their rows.
        submit: has them computed; the request gives, for each row, what the model gives.
        answers: of the inputs, from what the request gives.
    """

    begun: Begun
    submit: Callable[[], Request]
    answers: Callable[[list[tuple[Any, ...]]], Iterable[Any]]

    @property
    def tokens(self) -> int:
        """What is computed, in tokens."""
        return sum(len(row.ids) for row in self.begun.rows)


@dataclass(frozen=True)
class _Lot:
    """A call under way."""

    call: Call
    request: Request

    @property
    def requests(self) -> list[Request]:
        return [self.request]


class Pipeline(AbstractContextManager["Pipeline"]):
    """Texts to answers of one published task. Abstract.

    A final class says which head it needs, how inputs become rows, and what becomes of the model's outputs.

    Args:
        folder: of a model, or its name on a hub.
        on_long: what becomes of a text that is longer than the model reads, as ``Engine``; a call may say
            otherwise.
        sharing: another pipeline of the same folder; if it has the same model, both compute with one.
        **settings: of the computing, and what calls usually say.

    Raises:
        CheckpointError: the folder cannot be read, or has no such head.
        ConfigError: a setting that cannot be.
        MissingExtraError: no runtime is installed.
    """

    head: ClassVar[Head]
    #: Inputs of a lot: fewer where what the model gives for each is large.
    lot: ClassVar[int | None] = None

    def __init__(
        self,
        folder: str | Path,
        *,
        on_long: str = "window",
        sharing: "Pipeline | None" = None,
        **settings: Any,
    ) -> None:
        folder = local_folder(folder)
        place = encoder_folder(folder)
        self.on_long = check_on_long(on_long)
        self.config, self.tokenizer = open_folder(place)
        self.reader = OwnReader(self.tokenizer)
        parameters = parameters_of(self.head, self.config)
        missing = survey(place, parameters, self.config).missing
        require_encoder(folder, missing, self.config, self.head)
        if missing:
            raise CheckpointError(
                f"This pipeline needs a model with a head for {self.head.value}.",
                received=f"{folder} without {listed(file_names(missing, parameters))}",
                remedy="Choose a folder that was trained for it.",
            )
        self.modules = read_modules(folder) or SentenceModules()
        self.max_length = longest_text(self.modules, self.config, self.tokenizer)
        computing = {name: settings.pop(name) for name in _COMPUTING if name in settings}
        self._usual = settings
        self._refuse_unknown(settings)
        self._model = Model(place, self.config, self.head, self._pooling(), asked=self.head is Head.MASKED_LM)
        shared: Computer | None = None
        if sharing is not None and sharing._model == self._model:
            shared = sharing._computer
        self._computer: Computer = shared or Computer(
            self._model, pad_token_id=self.reader.pad_token_id, **computing
        )

    @property
    def folder(self) -> Path:
        """Where its weights are."""
        return self._model.folder

    @property
    def runtime(self) -> str:
        """The name of what computes."""
        return self._computer.runtime

    @property
    def answers_tokens(self) -> bool:
        """Whether what the model gives has an axis of tokens."""
        return self._model.answers_tokens

    @property
    def precision(self) -> str:
        """What it computes in, as of an engine."""
        return self._computer.precision

    @property
    def workers(self) -> Workers | None:
        """The processes that compute, where these are others."""
        return self._computer.workers

    @property
    def tally(self) -> Tally:
        """What was computed so far."""
        return self._computer.tally

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """The answer to one input; a list of answers to a list, an iterator of answers to an iterator."""
        return self._lead(inputs, options)

    def close(self) -> None:
        """Let go of the runtime."""
        self._computer.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def begin(self, inputs: list[Any], *, apart: bool = False, **options: Any) -> Call:
        """Inputs as rows that wait for nobody.

        Args:
            inputs: any number of them.
            apart: how they are to be computed, as ``Computer.submit``.
            **options: of a call.

        Raises:
            ConfigError: an option that cannot be.
            DataError: an input that is none of this task.
        """
        options = {k: v for k, v in {**self._usual, **options}.items() if k not in _IDLE}
        self._refuse_unknown(options)
        on_long = check_on_long(options.pop("on_long", self.on_long))
        reading = {name: options.pop(name) for name in _keywords(self._begin) if name in options}
        begun = self._begin(inputs, on_long=on_long, **reading)
        self.tally.add(cut=begun.cut, windowed=begun.windowed)
        return Call(
            begun,
            lambda: self._computer.submit(begun.rows, apart=apart),
            lambda found: self._answers(begun.state, found, **options),
        )

    def begin_rows(self, rows: Sequence[Row], *, apart: bool = False) -> Call:
        """Rows of tokens as they are, for whoever tokenises: what the model gives for each is its answer.

        Raises:
            DataError: one is empty, longer than the model reads, or has ids that it does not know.
        """
        size = self.config.vocab_size
        for i, row in enumerate(rows):
            known = len(row.ids) and int(row.ids.min()) >= 0 and int(row.ids.max()) < size
            if not known or len(row.ids) > self.max_length:
                raise DataError(
                    f"A row must have 1 to {self.max_length} ids from 0 to {size - 1}.",
                    received=f"row {i} of {len(row.ids)} ids",
                    remedy="Tokenise with the model's own vocabulary, and leave padding out.",
                )
        return Call(Begun(None, rows), lambda: self._computer.submit(rows, apart=apart), self._as_they_are)

    def _lead(self, inputs: Any, options: Mapping[str, Any]) -> Any:
        def begin(lot: list[Any]) -> _Lot:
            call = self.begin(lot, **options)
            return _Lot(call, call.submit())

        def finish(lot: _Lot) -> Iterable[Any]:
            return lot.call.answers(lot.request.result())

        self._refuse_unknown({**self._usual, **options})
        if self._is_one(inputs):
            return next(iter(finish(begin([inputs]))))
        answers = through(lots_of(inputs, self.lot), begin, finish)
        return list(answers) if isinstance(inputs, Sequence) else answers

    def _refuse_unknown(self, options: Mapping[str, Any]) -> None:
        """Options are what reading inputs and answering take by name."""
        own = (*_keywords(self._begin), *_keywords(self._answers))
        known = [*(name for name in own if name != "on_long"), *_IDLE]
        if unknown := [name for name in options if name not in (*known, "on_long")]:
            raise ConfigError(
                f"What this pipeline is told is {', '.join((*known, *_COMPUTING, 'on_long'))}.",
                received=", ".join(unknown),
                remedy="Leave it out.",
            )

    def _pooling(self) -> Pooling | None:
        """What makes one vector of a text's states in the graph."""
        return None

    def _is_one(self, inputs: Any) -> bool:
        return isinstance(inputs, str | Mapping)

    def _limit(self, max_length: int | None) -> int:
        """The tokens of a row: as asked for, and no more than the model reads."""
        if max_length is not None and max_length > self.max_length:
            raise ConfigError(
                "A row must have no more tokens than the model reads.",
                received=f"{max_length}, and a model that reads {self.max_length}",
                remedy="Leave it out: long texts are read in windows.",
            )
        return max_length or self.max_length

    def _as_they_are(self, found: list[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """What is told of rows of tokens: what the model gives."""
        return found

    @abstractmethod
    def _begin(self, given: list[Any], *, on_long: str) -> Begun:
        """Inputs to rows."""

    @abstractmethod
    def _answers(self, state: Any, found: list[tuple[Any, ...]]) -> Iterable[Any]:
        """An answer for each input, from what the model gives for each row."""


def _keywords(method: Any) -> list[str]:
    parameters = signature(method).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def a_text(value: Any) -> str:
    """Refuse what is no text.

    Raises:
        DataError: it is none.
    """
    if not isinstance(value, str):
        raise DataError(
            "What this pipeline reads is texts.",
            received=f"{value!r:.60}",
            remedy="Give a text, or a list of texts.",
        )
    return value
