"""What a single field of a configuration may hold.

A rule takes a field's name and a value and returns the value, normalised, or raises ``ConfigError``.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real
from operator import index
from reprlib import Repr
from typing import Any, NoReturn

from distilbert.errors import ConfigError

Rule = Callable[[str, Any], Any]

#: Activations by their published names. ``swish`` is ``silu``; ``gelu`` is the erf form.
ACTIVATIONS = (
    "gelu",
    "gelu_new",
    "gelu_pytorch_tanh",
    "quick_gelu",
    "relu",
    "silu",
    "swish",
    "tanh",
)

#: Shows what was given in a message's room, however long or deep it is.
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def integer(lowest: int, highest: float = 2**31 - 1) -> Rule:
    """A whole number from ``lowest`` to ``highest``, both included."""

    def rule(name: str, value: Any) -> int:
        try:
            number = index(value)
        except TypeError:
            number = None
        if number is None or isinstance(value, bool) or number < lowest:
            _refuse(name, value, f"a whole number of at least {lowest}")
        if number > highest:
            _refuse(name, value, f"a whole number of at most {highest}")
        return number

    return rule


def number(lowest: float, highest: float, *, below: bool = False) -> Rule:
    """A finite number from ``lowest`` to ``highest``, both included, or ``below`` it."""

    def rule(name: str, value: Any) -> float:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if (
            not is_number
            or not isfinite(value)
            or not lowest <= float(value) <= highest
            or (below and value == highest)
        ):
            limit = f"from {lowest:g} to {highest:g}" if highest < 1e30 else f"of at least {lowest:g}"
            limit += ", itself not included" if below else ""
            _refuse(name, value, f"a number {limit}")
        return float(value)

    return rule


def exactly(fixed: float) -> Rule:
    """A value that the published model fixes."""

    def rule(name: str, value: Any) -> float:
        if value != fixed:
            _refuse(name, value, f"{fixed:g}, which this model fixes")
        return fixed

    return rule


def flag(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        _refuse(name, value, "true or false")
    return value


def one_of(choices: tuple[str, ...]) -> Rule:
    """One of the named choices."""

    def rule(name: str, value: Any) -> Any:
        if value not in choices:
            _refuse(name, value, "one of " + ", ".join(choices))
        return value

    return rule


def text(name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        _refuse(name, value, "a string")
    return value


def names(name: str, value: Any) -> list[str]:
    """A list of names."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        _refuse(name, value, "a list of names")
    return list(value)


def pair(rule: Rule) -> Rule:
    """Two values, each of which ``rule`` takes."""

    def both(name: str, value: Any) -> tuple[Any, Any]:
        if not isinstance(value, Sequence) or len(value) != 2:
            _refuse(name, value, "two numbers")
        return rule(name, value[0]), rule(name, value[1])

    return both


def optional(rule: Rule) -> Rule:
    """None, or what ``rule`` takes."""
    return lambda name, value: None if value is None else rule(name, value)


def dtype_name(name: str, value: Any) -> str:
    """The name of a type of numbers; of PyTorch's own too, which no file can hold."""
    return str(value).removeprefix("torch.")


def activation(name: str, value: Any) -> Any:
    """A published activation's name, or a callable (PyTorch only; it cannot be saved)."""
    if isinstance(value, type):
        _refuse(
            name, value, "a published activation's name, or a function of a tensor (of a class, an object)"
        )
    return value if callable(value) else one_of(ACTIVATIONS)(name, value)


def label_names(name: str, value: Any) -> dict[int, str]:
    """``{0: "name", ...}``; the keys may be strings of digits, as JSON makes them."""
    if not isinstance(value, dict):
        _refuse(name, value, "a dictionary from label ids to names")
    try:
        if None in value.values():
            raise ValueError("a label without a name")
        names = {int(key): str(label) for key, label in value.items()}
    except (TypeError, ValueError):
        _refuse(name, value, "a dictionary from label ids (whole numbers) to names")
    return dict(sorted(names.items()))


def label_ids(name: str, value: Any) -> dict[str, int]:
    """``{"name": 0, ...}``."""
    if not isinstance(value, dict):
        _refuse(name, value, "a dictionary from label names to ids")
    try:
        return {str(label): int(key) for label, key in value.items()}
    except (TypeError, ValueError):
        _refuse(name, value, "a dictionary whose values are label ids (whole numbers)")


def heads_by_layer(name: str, value: Any) -> dict[int, list[int]]:
    """``{layer: [head, ...]}``; the layers may be strings of digits, as JSON makes them."""
    wanted = "a dictionary from layers to lists of heads (whole numbers)"
    if not isinstance(value, dict):
        _refuse(name, value, wanted)
    try:
        heads = {int(layer): sorted({index(head) for head in chosen}) for layer, chosen in value.items()}
    except (TypeError, ValueError):
        _refuse(name, value, wanted)
    if any(number < 0 for layer, chosen in heads.items() for number in (layer, *chosen)):
        _refuse(name, value, wanted)
    return {layer: chosen for layer, chosen in sorted(heads.items()) if chosen}


def heads_pruned(pruned: Mapping[int, Sequence[int]], more: Any, *, layers: int) -> dict[int, list[int]]:
    """Heads that are pruned, by layer, when ``more`` are too, in which -1 is the last layer."""
    found = {layer: set(heads) for layer, heads in pruned.items()}
    if not isinstance(more, Mapping):
        heads_by_layer("heads_to_prune", more)  # refuses it
    for layer, heads in more.items():
        one = {layer + layers if layer in range(-layers, 0) else layer: heads}
        for place, numbers in heads_by_layer("heads_to_prune", one).items():
            found.setdefault(place, set()).update(numbers)
    return {layer: sorted(heads) for layer, heads in found.items()}


def shares_of_one(**shares: float) -> None:
    """Refuse shares of the same thing that are together more than all of it."""
    if sum(shares.values()) > 1 + 1e-9:  # what 0.7 and 0.3 are together is no reason
        raise ConfigError(
            f"{' and '.join(shares)} are shares of the same, and together at most 1.",
            received=", ".join(f"{name}={share:g}" for name, share in shares.items()),
            remedy="Lower one of them.",
        )


def _refuse(name: str, value: Any, wanted: str) -> NoReturn:
    raise ConfigError(
        f"{name} must be {wanted}.",
        received=f"{name}={_SHORT.repr(value)}",
        remedy=f"Set {name} to {wanted}.",
    )
