"""What a public surface is, the peer's and ours: names by instance, arguments by order, kind and default."""

import inspect
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

DOCUMENT = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text()


def listed(heading: str) -> set[str]:
    """The names in the first column of the document's table under a heading."""
    section = DOCUMENT.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    assert all(re.fullmatch(r"\|.*\|.*\S.*\|", line) for line in section.splitlines() if line[:3] == "| `")
    # A name after "of" says whose argument it is.
    return set(re.findall(r"(?<!of )`(\w+)`", "\n".join(rows)))


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def missing(ours: Any, theirs: Any) -> set[str]:
    """What the peer's instance has, or its class, and ours has not."""
    return {name for name in public(theirs) | public(type(theirs)) if not hasattr(ours, name)}


def parameters(kind: type, name: str) -> dict[str, inspect.Parameter] | None:
    """A method's parameters; None for what is no method, or only every object's."""
    method = getattr(kind, name, None)
    if not inspect.isroutine(method) or method is getattr(object, name, None):
        return None
    if name.startswith("__") and not any(name in vars(base) for base in kind.__mro__[:-1]):
        return None
    return {key: p for key, p in inspect.signature(method).parameters.items() if key != "self"}


def differences(
    ours: type,
    theirs: type,
    names: Iterable[str],
    *,
    without: Collection[str],
    other_defaults: Collection[str],
    by_catch_all: Collection[str] = (),
) -> list[str]:
    """Where a call that the peer takes would be an error here, or mean something else."""
    found = []
    for name in names:
        mine, peers = parameters(ours, name), parameters(theirs, name)
        if peers is None or mine is None:
            found += [name] if (peers is None) != (mine is None) else []
            continue
        places = [key for key, p in mine.items() if p.kind <= p.POSITIONAL_OR_KEYWORD]
        asked = [key for key, p in peers.items() if p.kind <= p.POSITIONAL_OR_KEYWORD]
        for place, key in enumerate(asked):
            if places[place : place + 1] != [key] and (key not in without or place < len(places)):
                found.append(f"{name}: {key} is not argument {place + 1}")
        for key, parameter in peers.items():
            if key not in mine and key not in without and key not in by_catch_all:
                found.append(f"{name}: no {key}")
            elif key in mine and key not in other_defaults and mine[key].default != parameter.default:
                found.append(f"{name}: {key}={mine[key].default!r}, the peer's {parameter.default!r}")
    return found
