"""The way of a call: whatever form it comes in, it is checked outside of Keras and computed inside.

What is raised inside of a layer's call comes out of Keras as another error, with another message. So what can
be seen of a call is looked at before Keras has it.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar

from distilbert.core.config import BertConfig
from distilbert.core.outputs import ModelOutput
from distilbert.errors import DataError
from distilbert.keras.adjustable import Adjustable
from distilbert.keras.batch import INPUTS, Batch, check, check_head_mask
from distilbert.keras.modules import Tensor

#: A call's arguments by name, those that are not None.
Given = dict[str, Any]


class Called(Adjustable):
    """The part of every model class that answers a call. Abstract."""

    output_class: ClassVar[type[ModelOutput]]
    #: The names of the arguments that hold what is to be told, and of the result that each is told by.
    labels: ClassVar[Mapping[str, str]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``call``, once what is given is checked.

        Returns:
            The results by name, or a tuple where ``return_dict`` is False.
        """
        given = self._spread(dict(signature(self.call).bind(*args, **kwargs).arguments))
        self._check(given)
        if not isinstance(self.config, BertConfig):
            given.pop("token_type_ids", None)
        output = super().__call__(**given)
        return self.output_class(output) if isinstance(output, dict) else output

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The answer, of published arguments."""
        raise NotImplementedError

    def _answer(self, first: Any, training: bool | None, **others: Any) -> Any:
        given = self._spread({"input_ids": first, **others})
        config = self.config
        shown = {
            name: bool(chosen(given.get(name), getattr(config, name)))
            for name in ("output_attentions", "output_hidden_states")
        }
        whole = any(shown.values()) or not self.head.reads_one_token
        batch = self._batch(given, first_only=not whole)
        told = {name: given[name] for name in self.labels if name in given}
        key = self._key(training or False)
        output = self._compute(batch, given.get("head_mask"), key, told, **shown)
        named = dict(output)
        return named if chosen(given.get("return_dict"), config.use_return_dict) else tuple(named.values())

    def _batch(self, given: Given, *, first_only: bool = False) -> Batch:
        """What a call is given, laid out."""
        return self.encoder.batch(given, first_only=first_only)

    def _check(self, given: Given) -> None:
        """Refuse what does not fit the model, of what can be seen of it."""
        check_head_mask(self.config, given.get("head_mask"))
        shape = check(self.config, {name: given.get(name) for name in INPUTS}, own=self.variable_dtype)
        self._check_labels(given, shape)
        if given.get("training"):
            self.encoder._attentions[0].refuse_dropout()

    def _check_labels(self, given: Given, shape: tuple[Any, ...]) -> None:
        """Refuse labels that do not fit a batch [B, S]."""

    def _compute(
        self,
        batch: Batch,
        head_mask: Tensor | None,
        key: Tensor | None,
        labels: Given,
        *,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """The answer, of a batch that lies ready."""
        raise NotImplementedError

    def _key(self, training: bool) -> Tensor | None:
        """What a call in training drops by."""
        rates = ("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout", "classifier_dropout")
        drops = training and any(getattr(self.config, rate, 0.0) for rate in rates)
        return self.seeds.next() if drops else None

    def _inputs(self) -> list[str]:
        """The names of a call's arguments, in their order, that a batch may hold."""
        return [name for name in signature(self.call).parameters if name != "training"]

    def _spread(self, arguments: Given) -> Given:
        """A call's arguments by name, out of a dictionary or a list in the place of the first, too.

        Raises:
            DataError: a name that is no argument, or one that is given twice.
        """
        first = arguments.pop("input_ids", None)
        names = self._inputs()
        if isinstance(first, list | tuple):
            packed = dict(zip(names, first, strict=False))
            more = len(first) > len(names)
        elif hasattr(first, "keys"):
            packed, more = {name: first[name] for name in first.keys()}, False  # noqa: SIM118  # not every one iterates over names
        else:
            packed, more = {"input_ids": first}, False
        unknown = [name for name in packed if name not in names]
        if unknown or more:
            raise DataError(
                f"A batch holds inputs of the model: {', '.join(names)}.",
                received=", ".join(map(str, unknown)) or f"{len(first)} of them",
                remedy="Leave out what it does not read.",
            )
        arguments = {name: x for name, x in arguments.items() if x is not None}
        packed = {name: x for name, x in packed.items() if x is not None}
        if twice := [name for name in packed if name in arguments]:
            raise DataError(
                "Each input is given once.",
                received=f"{', '.join(twice)} in the batch and beside it",
                remedy="Leave one of them out.",
            )
        return {**packed, **arguments}


def chosen(asked: bool | None, usual: bool) -> bool:
    """What a call asks for, or where it leaves that open, what was said before."""
    return usual if asked is None else asked
