"""What a term that was not met would take: read off what was measured, and said as such."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilbert.compression.halving import Trained
from distilbert.compression.measuring import Figure
from distilbert.compression.plan import Plan
from distilbert.compression.target import Target, Term

#: Passes over the texts from where on more of them, and not more time, is what is lacking.
_MANY_PASSES = 8.0


def remedies(
    target: Target,
    unmet: Sequence[Term],
    chosen: Trained,
    rungs: Sequence[Sequence[Trained]],
    plan: Plan,
    *,
    figures: Mapping[str, Figure],
    passes: float,
    optimized: Mapping[str, Any],
) -> dict[str, str]:
    """By term, what would buy it, in a sentence or two.

    Args:
        target: of the run.
        unmet: its terms that were not met.
        chosen: what was written.
        rungs: what was trained, and how good it was after each.
        plan: what was measured untrained.
        figures: of what was written.
        passes: over all texts, of the chosen one.
        optimized: what ``optimize`` tried of it.
    """
    found = {}
    for term in unmet:
        if term.kind.of == "quality":
            found[str(term)] = _of_quality(term, chosen, rungs, plan, passes)
        else:
            found[str(term)] = _of_cost(term, chosen, plan, figures, optimized, target)
    return found


def _of_quality(
    term: Term, chosen: Trained, rungs: Sequence[Sequence[Trained]], plan: Plan, passes: float
) -> str:
    said = []
    course = [one for rung in rungs for one in rung if one.shape == chosen.shape and term.name in one.quality]
    if len(course) > 1:
        last, before = course[-1], course[-2]
        gain = last.quality[term.name].value - before.quality[term.name].value
        more = f"from {before.steps:,} to {last.steps:,} steps it gained {gain:+.4f}"
        said.append(f"More time would help: {more}." if gain > 0 else f"More time alone would not: {more}.")
    else:
        said.append("Whether more time would help was not seen: there was one training of it.")
    if passes > _MANY_PASSES:
        said.append(f"More text would help: each was read {passes:.0f} times.")
    latest = {one.shape: one for rung in rungs for one in rung if term.name in one.quality}
    best = max(latest.values(), key=lambda one: one.quality[term.name].value, default=None)
    if best is not None and best.shape != chosen.shape:
        said.append(
            f"{best.shape.name} came to {best.quality[term.name].value:.4f} after {best.steps:,} steps."
        )
    own = (chosen.shape.layers, chosen.shape.dim)
    tried = {(shape.layers, shape.dim) for shape in latest}
    larger = [
        row
        for row in plan.rows
        if (row.shape.layers, row.shape.dim) > own
        and (row.shape.layers, row.shape.dim) not in tried
        and row.figures
    ]
    if larger:
        least = min(larger, key=lambda row: (row.shape.layers, row.shape.dim))
        said.append(
            f"More depth or width was left out: {least.shape.name} by {least.way}, for {least.dropped}."
        )
    return " ".join(said)


def _of_cost(
    term: Term,
    chosen: Trained,
    plan: Plan,
    figures: Mapping[str, Figure],
    optimized: Mapping[str, Any],
    target: Target,
) -> str:
    said = []
    refused = [
        f"{trial['runtime']} {trial['precision']} ({trial['verdict']['failed']})"
        for trial in optimized.get("trials", ())
        if trial.get("verdict") and trial["verdict"]["failed"]
    ]
    if refused:
        said.append(f"The gate refused {', '.join(refused)}, which would be smaller or faster.")
    better = [
        row
        for row in plan.rows
        if term.name in row.figures and term.met(row.figures[term.name].value) and row.shape != chosen.shape
    ]
    if better:
        first = better[0]
        value = term.shown(first.figures[term.name].value)
        said.append(f"Fewer layers or less width: {first.shape.name} by {first.way} has {value}.")
    elif plan.rows:
        rows = [row for row in plan.rows if term.name in row.figures]
        if rows:
            best = min(rows, key=lambda row: term.missed_by(row.figures[term.name].value))
            value = term.shown(best.figures[term.name].value)
            said.append(
                "No candidate reaches it on this machine; the nearest, "
                f"{best.shape.name} by {best.way}, has {value}."
            )
    return " ".join(said) or f"It was met untrained, and is {term.shown(figures[term.name].value)} now."
