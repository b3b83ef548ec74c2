"""``compile``, ``fit``, ``evaluate`` and ``predict``, as Keras has them, of models whose results have names.

A model that is compiled without a loss, or with "passthrough", learns by its own, whose labels stand in the
batch or beside it. Losses and metrics of Keras' are given the results that the labels are of.
"""

from collections import UserDict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.outputs import ModelOutput
from distilbert.core.parameters import Head
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
        if not self._learns_by_its_own():
            y, y_pred = self._matched(x, y, y_pred, by_name=isinstance(self.loss, Mapping))
            return super().compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
            )
        if sample_weight is not None:
            raise ConfigError(
                "A model's own loss weighs all rows alike.",
                received="sample_weight or class_weight",
                remedy="Give compile(loss=...) one of Keras', which takes them.",
            )
        if not isinstance(y_pred, Mapping):
            raise ConfigError(
                "A model that learns by its own loss gives its results by name.",
                received="return_dict=False",
                remedy="Set model.config.return_dict = True, or give compile(loss=...).",
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
        """The metrics that the model was compiled with, of the results that the labels are of.

        Those that weigh tokens (``weighted_metrics``) do not count those labelled ``IGNORED_LABEL``, unless
        they are told otherwise.
        """
        if self._compile_metrics is not None:
            y, y_pred = self._matched(x, y, y_pred, by_name=_have_names(self._compile_metrics))
            if sample_weight is None and self.head in (Head.MASKED_LM, Head.TOKEN_CLASSIFICATION):
                sample_weight = keras.tree.map_structure(_counted, y)
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
        results = super().predict(self._seen(x), *args, **kwargs)
        return self.output_class(results) if isinstance(results, dict) else results

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``fit``; ``x`` may be what a tokenizer gave."""
        checked = kwargs.get("validation_data")
        if isinstance(checked, tuple):
            kwargs["validation_data"] = (self._seen(*checked[:2]), *checked[1:])
        return super().fit(self._seen(x, *args[:1], **_only_y(kwargs)), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``evaluate``; ``x`` may be what a tokenizer gave."""
        return super().evaluate(self._seen(x, *args[:1], **_only_y(kwargs)), *args, **kwargs)

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``train_on_batch``; ``x`` may be what a tokenizer gave."""
        return super().train_on_batch(self._seen(x, *args[:1], **_only_y(kwargs)), *args, **kwargs)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras' ``test_on_batch``; ``x`` may be what a tokenizer gave."""
        return super().test_on_batch(self._seen(x, *args[:1], **_only_y(kwargs)), *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """As Keras' ``predict_on_batch``; ``x`` may be what a tokenizer gave."""
        results = super().predict_on_batch(self._seen(x))
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

    def _seen(self, x: Any, y: Any = None) -> Any:
        """Rows as Keras takes them, refused as a call refuses them: a graph cannot see what they hold."""
        x = _columns(x)
        if _are_numbers(x.values() if isinstance(x, Mapping) else [x]):
            given = self._spread({"input_ids": x})
            if y is not None and self._learns_by_its_own():
                told = self._told(x, y)
                given |= told if _are_numbers(told.values()) else {}
            self._check(given)
        return x

    def _learns_by_its_own(self) -> bool:
        loss = getattr(self, "loss", None)
        return not isinstance(loss, Mapping) and loss in (None, *_OWN)

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

    def _matched(self, x: Any, y: Any, y_pred: Any, *, by_name: bool) -> tuple[Any, Any]:
        """Labels and the results that they are of: by name, or for losses and metrics without names."""
        if not isinstance(y_pred, Mapping):
            return y, y_pred
        results = {
            name: r for name, r in y_pred.items() if name not in ("loss", "hidden_states", "attentions")
        }
        if y is None and self.labels:
            y = self._told(x, y)
        if isinstance(y, Mapping):
            named = {self.labels.get(name, name): label for name, label in y.items()}
            if len(named) == 1 and not by_name:
                ((name, label),) = named.items()
                return label, results.get(name, next(iter(results.values())))
            return named, {name: results[name] for name in named}
        if by_name:
            told = [name for name in results if name in self.labels.values()] or list(results)
            named = dict(zip(told, y if isinstance(y, list | tuple) else (y,), strict=False))
            return named, {name: results[name] for name in named}
        if isinstance(y, list | tuple):
            return y, type(y)(results.values())[: len(y)]
        return y, next(iter(results.values()))


def _are_numbers(columns: Iterable[Any]) -> bool:
    return all(isinstance(column, np.ndarray) for column in columns)


def _only_y(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"y": arguments["y"]} if "y" in arguments else {}


def _have_names(metrics: Any) -> bool:
    """Whether metrics were given by the names of results."""
    kinds = ("_user_metrics", "_user_weighted_metrics")
    return any(isinstance(getattr(metrics, kind, None), Mapping) for kind in kinds)


def _counted(labels: Tensor) -> Tensor:
    """1 where there is something to tell, and 0 elsewhere."""
    return ops.cast(ops.not_equal(labels, IGNORED_LABEL), "float32")


def _columns(x: Any) -> Any:
    """What a tokenizer gave as a plain dictionary of arrays; anything else as it is."""
    if not isinstance(x, UserDict | ModelOutput):
        return x
    return {name: np.asarray(column) if isinstance(column, list) else column for name, column in x.items()}
