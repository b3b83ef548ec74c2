"""A model as a compiled function takes it: its form, which is compiled for, and its arrays.

Flax walks through all of a model whenever it takes one apart, which costs more than a small batch does. So
what was found is kept, and holds until a part of the model is another one: then it is found anew. Arrays
are read anew each time, for they are what training changes.
"""

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import jax
from flax import nnx

from distilbert.jax.modules import Array
from distilbert.jax.recording import is_recording


class Form:
    """A model less its arrays. It is equal to that of a model that computes the same."""

    def __init__(self, model: nnx.Module) -> None:
        self._graphdef, state = nnx.split(model)
        self._hash = hash(self._graphdef)
        paths = [path for path, _ in nnx.to_flat_state(state)]
        self._tree = jax.tree.structure(state)
        # A tree has its leaves in an order of its own.
        numbers = [variable.replace(i) for i, (_, variable) in enumerate(nnx.to_flat_state(state))]
        self._paths = [
            paths[i] for i in jax.tree.leaves(nnx.from_flat_state(list(zip(paths, numbers, strict=True))))
        ]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Form) and self._graphdef == other._graphdef)

    def __hash__(self) -> int:
        return self._hash

    def variables(self, model: nnx.Module) -> list[Any]:
        """The variables of a model of this form, in the order of its arrays."""
        return [_at(model, path) for path in self._paths]

    def arrays_of(self, named: Mapping[str, Array]) -> list[Array]:
        """Arrays by their names, in the order of its arrays."""
        return [named["/".join(map(str, path))] for path in self._paths]

    def with_arrays(self, arrays: Sequence[Array]) -> Any:
        """A model of this form."""
        return nnx.merge(self._graphdef, jax.tree.unflatten(self._tree, arrays))


class _Known:
    """What was found of a model, and by what one sees that it holds."""

    def __init__(self, model: nnx.Module, told: int) -> None:
        self.form = Form(model)
        self.variables = self.form.variables(model)
        self._told = told
        # The parts themselves but for the model, which would else never be let go of.
        parts = [part for _, part in nnx.iter_modules(model) if part is not model]
        self._own = (type(model), tuple(vars(model).values()))
        self._parts = [(part, type(part), tuple(vars(part).values())) for part in parts]

    def holds(self, model: nnx.Module, told: int) -> bool:
        return (
            told == self._told
            and _is_still(model, *self._own)
            and all(_is_still(*part) for part in self._parts)
        )


_KNOWN: "WeakKeyDictionary[nnx.Module, _Known]" = WeakKeyDictionary()


def taken_apart(model: nnx.Module, told: int) -> tuple[Form, list[Array]]:
    """A model's form and its arrays.

    Args:
        model: any.
        told: a hash of what its form depends on that may change in place, as a configuration's fields do.
    """
    known = _KNOWN.get(model)
    if known is None or not known.holds(model, told):
        known = _Known(model, told)
        # Of a model inside a compiled function nothing is kept: its arrays mean nothing outside.
        if not is_recording([variable.get_raw_value() for variable in known.variables]):
            _KNOWN[model] = known
    return known.form, [variable.get_raw_value() for variable in known.variables]


def _is_still(part: nnx.Module, kind: type, values: tuple[Any, ...]) -> bool:
    found = vars(part)
    return type(part) is kind and len(found) == len(values) and all(map(is_, found.values(), values))


def _at(model: Any, path: Sequence[Any]) -> Any:
    for name in path:
        model = model[name] if isinstance(name, int) else getattr(model, name)
    return model
