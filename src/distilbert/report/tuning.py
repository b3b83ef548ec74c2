"""A search on one page: what was tried, what came of it, and the recipe that won."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilbert.report import page as html
from distilbert.report.charts import dot_chart


def trial_rows(facts: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A search's trials as a table, the best first: columns and rows.

    Args:
        facts: as ``Search.facts()`` gives them.
    """
    names = list(facts["space"])
    rows = []
    for trial in ranked(facts):
        changes = [_figure(trial["changes"].get(name, facts["begun_with"][name])) for name in names]
        best = "" if trial["best"] is None else f"{trial['best']:.4f}"
        rows.append(
            [f"trial {trial['number']}", *changes, str(len(trial["looks"])), best, trial["state"],
             f"{trial['seconds']:.0f}"]
        )  # fmt: skip
    return ["", *(n.replace("_", " ") for n in names), "looks", facts["metric"], "", "seconds"], rows


def tuning_page(facts: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        facts: as ``Search.facts()`` gives them.
    """
    trials = ranked(facts)
    best, metric = trials[0], facts["metric"].replace("_", " ")
    first = next((t for t in facts["trials"] if not t["changes"]), None)
    pruned = sum(trial["state"] == "pruned" for trial in trials)
    figures = [
        (f"{best['best']:.4f}", f"{metric} of the best trial"),
        (f"{len(trials)}", f"trials, {pruned} of them ended early"),
        (f"{sum(t['seconds'] for t in trials) / 60:.1f} min", "of training"),
    ]
    if first is not None and first["best"] is not None:
        figures.insert(1, (f"{first['best']:.4f}", "with the recipe that was begun with"))
    columns, rows = trial_rows(facts)
    settings = [[name.replace("_", " "), str(value)] for name, value in facts["recipe"].items()]
    return html.page(
        "distilbert tune",
        html.heading(
            "A recipe, by search",
            f"Recipes compared by {metric} on examples that none of them learnt from. Among many, the best "
            "is partly luck: expect a little less of it on others.",
        ),
        html.cards(figures),
        html.section("What each field came to", html.columns(*_charts(facts))),
        html.section("Trials", html.table(columns, rows)),
        html.section(
            "Where it was looked", html.table(["", ""], [[k, v] for k, v in facts["space"].items()])
        ),
        html.section("The best recipe", html.table(["field", "value"], settings)),
    )


def ranked(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trials, the best first and those that failed last."""
    sign = 1 if facts["lowest"] else -1
    trials: Sequence[Mapping[str, Any]] = facts["trials"]
    return sorted(trials, key=lambda t: (t["best"] is None, sign * (t["best"] or 0.0), t["number"]))


def _charts(facts: Mapping[str, Any]) -> list[str]:
    charts = []
    for name in facts["space"]:
        groups: dict[str, list[tuple[float, float]]] = {"ran to its end": [], "ended early": []}
        for trial in facts["trials"]:
            value = trial["changes"].get(name, facts["begun_with"][name])
            if trial["best"] is None or isinstance(value, str | bool) or value is None:
                continue
            kind = "ended early" if trial["state"] == "pruned" else "ran to its end"
            groups[kind].append((value, trial["best"]))
        shown = {kind: points for kind, points in groups.items() if points}
        if shown:
            values = [x for points in shown.values() for x, _ in points]
            by_ratio = min(values) > 0 and max(values) / min(values) >= 8
            title = name.replace("_", " ")
            charts.append(
                html.figure(
                    dot_chart(shown, x=title, y=facts["metric"].replace("_", " "), log=by_ratio), title
                )
            )
    return charts


def _figure(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
