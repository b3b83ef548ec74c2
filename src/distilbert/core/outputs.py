"""What a model returns: by attribute, by key, by position."""

from collections.abc import Iterable, Mapping
from typing import Any


class ModelOutput(dict[str, Any]):
    """Named results in a fixed order; those that are None are left out.

    ``output.logits``, ``output["logits"]`` and ``output[0]`` are the same thing, and so is what
    ``loss, logits = output.to_tuple()`` gives. Reading a name that is known but absent gives None by
    attribute. It iterates over names, as any dictionary: what gathers results of devices relies on it.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, named: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **results: Any) -> None:
        """
        Args:
            named: results by name, or pairs, as whoever rebuilds a dictionary of its own type gives them.
            **results: further ones.
        """
        results = {**dict(named), **results}
        super().__init__((name, results[name]) for name in self.fields if results.get(name) is not None)

    def __getattr__(self, name: str) -> Any:
        if name in self.fields:
            return self.get(name)
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self.keys())}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.fields:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}; it may have {', '.join(self.fields)}"
            )
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        # A loss that is set later is still the first result, and a result that is None is none; what is
        # not a result stands behind them.
        names = (*self.fields, *(other for other in self if other not in self.fields))
        found = {field: self[field] for field in names if self.get(field) is not None}
        self.clear()
        super().update(found)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The results that are there, in order."""
        return tuple(self.values())


class BaseModelOutput(ModelOutput):
    fields = ("last_hidden_state", "hidden_states", "attentions")


class MaskedLMOutput(ModelOutput):
    fields = ("loss", "logits", "hidden_states", "attentions")


class SequenceClassifierOutput(ModelOutput):
    fields = ("loss", "logits", "hidden_states", "attentions")


class MultipleChoiceModelOutput(ModelOutput):
    fields = ("loss", "logits", "hidden_states", "attentions")


class TokenClassifierOutput(ModelOutput):
    fields = ("loss", "logits", "hidden_states", "attentions")


class QuestionAnsweringModelOutput(ModelOutput):
    fields = ("loss", "start_logits", "end_logits", "hidden_states", "attentions")
