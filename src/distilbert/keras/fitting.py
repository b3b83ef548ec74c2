"""``compile``, ``fit``, ``evaluate`` and ``predict``, as Keras has them, of models whose results have names.

A model that is compiled without a loss, or with "passthrough", learns by its own, whose labels stand in the
batch or beside it. Losses and metrics of Keras' are given the results that the labels are of.
"""

from collections import UserDict
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from distilbert.core.outputs import ModelOutput
from distilbert.errors import ConfigError, DataError
from distilbert.keras.calling import Called, Given
from distilbert.keras.feeding import tf_dataset
from distilbert.keras.modules import Tensor
from distilbert.keras.recording import replicas

#: What the published classes call a model's own loss.
_OWN = ("passthrough", "auto_with_warning")


class Fitted(Called):
    """The part of every model class that Keras' loops ask. Abstract."""

    def cost(self, results: Any, batch: Any, told: Given) -> Tensor:
        """The mean loss of a call's results, whose labels are given by the names of the call's arguments.

        Raises:
            ConfigError: a model without a head has none.
            DataError: labels that do not fit.
        """
        raise ConfigError(
            "A model without a head has no loss of its own.",
            received=f"a {type(self).__name__}, compiled without a loss",
            remedy="Give compile(loss=...), or take a model with a head.",
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The model's own loss, or the one that it was compiled with.

        Raises:
            ConfigError: weights of rows, which the model's own loss does not take.
            DataError: no labels, or others than the model tells.
        """
        if self.loss not in (None, *_OWN):
            y, y_pred = self._matched(x, y, y_pred)
            return super().compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
            )
        if sample_weight is not None:
            raise ConfigError(
                "A model's own loss weighs all rows alike.",
                received="sample_weight or class_weight",
                remedy="Give compile(loss=...) one of Keras', which takes them.",
            )
        own = y_pred.get("loss")
        if own is None:
            batch = self._batch(self._spread({"input_ids": x}))
            own = self.cost(y_pred, batch, self._told(x, y))
        own = own / replicas()
        for further in self.losses:  # of regularisers
            own = own + further
        return own

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics that the model was compiled with, of the results that the labels are of."""
        if self._compile_metrics is not None:
            y, y_pred = self._matched(x, y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, *data: Any) -> Any:
        """A step of ``predict``: results as a plain dictionary, which Keras joins, without any loss."""
        found = super().predict_step(*data)
        results, *state = found if isinstance(found, tuple) else (found,)
        if isinstance(results, Mapping):
            results = {name: result for name, result in results.items() if name != "loss"}
        return (results, *state) if isinstance(found, tuple) else results

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``predict``; results by their names, as a call gives them."""
        results = super().predict(_columns(x), *args, **kwargs)
        return self.output_class(results) if isinstance(results, dict) else results

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``fit``; ``x`` may be what a tokenizer gave."""
        checked = kwargs.get("validation_data")
        if isinstance(checked, tuple):
            kwargs["validation_data"] = (_columns(checked[0]), *checked[1:])
        return super().fit(_columns(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``evaluate``; ``x`` may be what a tokenizer gave."""
        return super().evaluate(_columns(x), *args, **kwargs)

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``train_on_batch``; ``x`` may be what a tokenizer gave."""
        return super().train_on_batch(_columns(x), *args, **kwargs)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``test_on_batch``; ``x`` may be what a tokenizer gave."""
        return super().test_on_batch(_columns(x), *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """As Keras' ``predict_on_batch``; ``x`` may be what a tokenizer gave."""
        results = super().predict_on_batch(_columns(x))
        return self.output_class(results) if isinstance(results, dict) else results

    def prepare_tf_dataset(
        self,
        dataset: Any,
        batch_size: int = 8,
        shuffle: bool = True,
        tokenizer: Any = None,
        collate_fn: Any = None,
        collate_fn_args: Mapping[str, Any] | None = None,
        drop_remainder: bool | None = None,
        prefetch: bool = True,
    ) -> Any:
        """Batches of a table of tokenised rows, as a ``tf.data.Dataset`` that ``fit`` takes.

        Args:
            dataset: dictionaries by number, as ``datasets`` and lists have them, or a mapping of columns;
                those that the model does not read are left, and ``label`` is read as ``labels``.
            batch_size: rows of a batch.
            shuffle: in another order each time.
            tokenizer: pads rows of several lengths, their labels too.
            collate_fn: makes a batch of a list of rows, in the place of padding.
            collate_fn_args: further arguments of it.
            drop_remainder: leave out a last batch that is smaller; None means as ``shuffle`` says.
            prefetch: make a batch while the one before it is computed.

        Raises:
            DataError: no rows, or no column that the model reads; rows of several lengths and no tokenizer.
        """
        return tf_dataset(
            dataset,
            inputs=self._inputs(),
            labels=self.labels,
            batch_size=batch_size,
            shuffle=shuffle,
            tokenizer=tokenizer,
            collate=partial(collate_fn, **(collate_fn_args or {})) if collate_fn else None,
            drop_remainder=shuffle if drop_remainder is None else drop_remainder,
            prefetch=prefetch,
        )

    def _told(self, x: Any, y: Any) -> Given:
        """Labels by the names of a call's arguments, of what stands beside a batch, or in it.

        Raises:
            DataError: there are none, or not all.
        """
        names = list(self.labels)
        if y is None:
            given = self._spread({"input_ids": x})
            found = {name: given[name] for name in names if name in given}
        elif isinstance(y, Mapping):
            renamed = {result: name for name, result in self.labels.items()}
            found = {renamed.get(str(name), str(name)): label for name, label in y.items()}
        else:
            found = dict(zip(names, y if isinstance(y, list | tuple) else (y,), strict=False))
        if not self.labels or set(found) != set(names):
            raise DataError(
                f"{type(self).__name__} learns by {' and '.join(names) or 'no labels of its own'}.",
                received=", ".join(map(str, found)) or "no labels",
                remedy="Give them in the batch, by these names, or beside it.",
            )
        return found

    def _matched(self, x: Any, y: Any, y_pred: Any) -> tuple[Any, Any]:
        """Labels and the results that they are of, for losses and metrics that know of no names."""
        if not isinstance(y_pred, Mapping):
            return y, y_pred
        results = {
            name: r for name, r in y_pred.items() if name not in ("loss", "hidden_states", "attentions")
        }
        if y is None and self.labels:
            y = self._told(x, y)
        if isinstance(y, Mapping):
            named = {self.labels.get(name, name): label for name, label in y.items()}
            if len(named) == 1:
                ((name, label),) = named.items()
                return label, results.get(name, next(iter(results.values())))
            return named, {name: results[name] for name in named}
        if isinstance(y, list | tuple):
            return y, type(y)(results.values())[: len(y)]
        return y, next(iter(results.values()))


def _columns(x: Any) -> Any:
    """What a tokenizer gave as a plain dictionary of arrays; anything else as it is."""
    if not isinstance(x, UserDict | ModelOutput):
        return x
    return {name: np.asarray(column) if isinstance(column, list) else column for name, column in x.items()}
