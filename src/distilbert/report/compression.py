"""A compression on one page: teacher and student, what was traded for what, and where they differ."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from distilbert.compression.candidates import Shape
from distilbert.compression.measuring import PARTS
from distilbert.compression.target import KINDS, Target, shown
from distilbert.report import page as html
from distilbert.report.charts import dot_chart

PLAN_COLUMNS = ("layers x width, vocabulary", "by", "p50", "p99", "texts/s", "size", "")
FRONTIER_COLUMNS = (
    "layers x width, vocabulary",
    "steps",
    "agreement",
    "quality",
    "p50",
    "texts/s",
    "size",
    "state",
)

#: Rows that are listed where both differ, and characters of a text.
_LISTED, _CHARACTERS = 40, 160

#: Terms that are shown of both.
_SHOWN = (
    "agreement",
    "accuracy",
    "macro_f1",
    "pearson",
    "spearman",
    "p50",
    "p99",
    "texts/s",
    "size",
    "memory",
)


def plan_rows(plan: Mapping[str, Any]) -> list[list[str]]:
    """A plan as lines of a table."""
    return [
        [
            _name(row["shape"]),
            row["way"],
            *(_shown(name, row["figures"]) for name in ("p50", "p99", "texts/s", "size")),
            f"left out: {row['dropped']}" if row["dropped"] else "to be trained",
        ]
        for row in plan["rows"]
    ]


def frontier_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    """What was trained: what was chosen, what else was made ready, and what fell out on the way."""
    metric = _metric(facts)
    ready = [
        facts["chosen"],
        *(one for one in facts["finalists"] if one["shape"] != facts["chosen"]["shape"]),
    ]
    rows = [
        [
            _name(one["shape"]),
            f"{one['steps']:,}",
            *(_shown(name, one["figures"]) for name in ("agreement", metric, "p50", "texts/s", "size")),
            "made ready" if i else "chosen",
        ]
        for i, one in enumerate(ready)
    ]
    known = [one["shape"] for one in ready]
    for one in _latest(facts["rungs"]):
        if one["shape"] not in known:
            quality = [_shown(name, one["quality"]) for name in ("agreement", metric)]
            figures = _untrained(facts["plan"], one["shape"])
            costs = [_shown(name, figures) for name in ("p50", "texts/s", "size")]
            state = f"trained until time {one['rung']}; costs untrained"
            rows.append([_name(one["shape"]), f"{one['steps']:,}", *quality, *costs, state])
    return rows


def target_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    """Each term of the target beside what was found."""
    rows = []
    for term in Target.parse(facts["target"]).terms:
        figure = facts["figures"].get(term.name)
        if figure is None:
            rows.append([str(term), "—", "—", "not known"])
            continue
        interval = f"{term.shown(figure['low'])} to {term.shown(figure['high'])}"
        rows.append(
            [
                str(term),
                term.shown(figure["value"]),
                interval,
                "met" if term.met(figure["value"]) else "not met",
            ]
        )
    return rows


def compression_page(facts: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """The whole page.

    Args:
        facts: as the proof has them.
        lines: the rows that decided, with what is true and both answers.
    """
    figures, metric = facts["figures"], _metric(facts)
    verdict = "It meets the target" if facts["met"] else f"It does not meet {', '.join(facts['unmet'])}"
    cards = [(_shown(name, figures), KINDS[name].words) for name in ("agreement", metric, "p50", "size")]
    sections = [
        html.section("The target", html.table(("", "found", "95% interval", ""), target_rows(facts))),
        html.section("Teacher and student", html.table(("", "teacher", "student"), _beside(facts))),
        html.section("What was traded for what", *_frontier(facts)),
    ]
    if facts["remedies"]:
        said = [html.paragraph(f"{term}: {words}") for term, words in facts["remedies"].items()]
        sections.insert(1, html.section("What would buy the rest", *said))
    if "labels" in facts["task"]:
        sections.append(html.section("By class", html.table(_BY, _by_class(lines))))
    by_length = [html.table(("", "rows", "p50", "p99"), _times(facts["by_length"]))]
    if _comparable(lines):
        by_length.insert(0, html.table(_BY, _by_length(lines)))
    sections.append(html.section("By length", *by_length))
    if _comparable(lines):
        sections.append(_differing(lines))
    sections.append(html.section("Cost", *_cost(facts)))
    sections.append(html.section("What was looked at", html.table(PLAN_COLUMNS, plan_rows(facts["plan"]))))
    return html.page(
        "distilbert compress",
        html.heading(verdict, f"{_name(facts['chosen']['shape'])}, computed by {facts['computed_by']}."),
        html.cards(cards),
        *sections,
        html.section("The command", html.commands([facts["command"] or "in Python"])),
    )


_BY = ("", "rows", "the same answer", "the teacher is right", "the student is right")


def _beside(facts: Mapping[str, Any]) -> list[list[str]]:
    teacher = facts["teacher"]
    its = {name: {"value": value} for name, value in teacher["scores"].items()} | teacher["figures"]
    return [
        [f"{name} ({KINDS[name].words})", _shown(name, its), _shown(name, facts["figures"])]
        for name in _SHOWN
        if name in facts["figures"]
    ]


def _frontier(facts: Mapping[str, Any]) -> list[str]:
    quality = "agreement" if "agreement" in facts["figures"] else _metric(facts)
    parts = [html.table(FRONTIER_COLUMNS, frontier_rows(facts))]
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {"p50": {}, "size": {}}
    for name, kinds in groups.items():
        for one in facts["finalists"]:
            chosen = one["shape"] == facts["chosen"]["shape"]
            point = one["figures"][name]["value"], one["figures"][quality]["value"]
            kinds.setdefault("chosen" if chosen else "made ready", []).append(point)
        known = [one["shape"] for one in facts["finalists"]]
        for one in _latest(facts["rungs"]):
            figures = _untrained(facts["plan"], one["shape"])
            if one["shape"] not in known and name in figures and quality in one["quality"]:
                point = figures[name]["value"], one["quality"][quality]["value"]
                kinds.setdefault("trained for less long", []).append(point)
    charts = [
        html.figure(dot_chart(kinds, x=f"{name} ({_unit(name)})", y=quality), f"{quality} over {name}")
        for name, kinds in groups.items()
    ]
    return [html.columns(*charts), *parts]


def _by_class(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    by: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by[str(line["label"])].append(line)
    return [_counted(label, by[label]) for label in sorted(by)]


def _times(parts: Sequence[Mapping[str, float]]) -> list[list[str]]:
    return [
        [
            f"{part['shortest']:,} to {part['longest']:,} characters",
            f"{part['rows']:,}",
            shown("p50", part["p50"]),
            shown("p99", part["p99"]),
        ]
        for part in parts
    ]


def _by_length(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """By characters, in parts of as many rows each."""
    order = sorted(lines, key=_length)
    parts = [part for part in np.array_split(np.arange(len(order)), PARTS) if len(part)]
    rows = []
    for part in parts:
        some = [order[i] for i in part]
        rows.append(_counted(f"{_length(some[0]):,} to {_length(some[-1]):,} characters", some))
    return rows


def _counted(name: str, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    def share(holds: Callable[[Mapping[str, Any]], bool], of: Sequence[Mapping[str, Any]]) -> str:
        return f"{np.mean([holds(line) for line in of]):.1%}" if of else "—"

    heard = [line for line in lines if line["teacher"] is not None]
    return [
        name,
        f"{len(lines):,}",
        share(lambda line: line["teacher"] == line["answer"], heard),
        share(lambda line: line["teacher"] == line["label"], heard),
        share(lambda line: line["answer"] == line["label"], lines),
    ]


def _differing(lines: Sequence[Mapping[str, Any]]) -> str:
    """Where both answer otherwise, what the student is surest of first."""
    found = [line for line in lines if line["teacher"] not in (None, line["answer"])]
    found.sort(key=lambda line: -line["score"])
    rows = [
        [_text(line), line["label"], line["teacher"], f"{line['answer']} ({line['score']:.2f})"]
        for line in found[:_LISTED]
    ]
    title = f"Where they differ: {len(found):,} of {len(lines):,} rows"
    if not rows:
        return html.section(title, html.paragraph("They answer all of them alike."))
    return html.section(title, html.table(("text", "true", "teacher", "student"), rows))


def _cost(facts: Mapping[str, Any]) -> list[str]:
    price, rate = facts["price"], facts["figures"]["texts/s"]["value"]
    hours = 1e6 / rate / 3600
    its = facts["teacher"]["figures"].get("texts/s")
    besides = f" The teacher takes {1e6 / its['value'] / 3600:.2f} hours." if its else ""
    said = f"A million texts like these take {hours:.2f} hours on this machine.{besides}"
    if price is None:
        return [html.paragraph(said), html.paragraph("What that costs: give --hourly-price.", faint=True)]
    priced = f"At {price:g} an hour a million texts cost {price * hours:.2f}"
    priced += f", and {price * 1e6 / its['value'] / 3600:.2f} by the teacher." if its else "."
    return [html.paragraph(said), html.paragraph(priced)]


def _latest(rungs: Sequence[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """Each candidate as it was last."""
    found: dict[str, Mapping[str, Any]] = {}
    for rung in rungs:
        for one in rung:
            found[_name(one["shape"])] = one
    return list(found.values())


def _untrained(plan: Mapping[str, Any], shape: Mapping[str, Any]) -> Mapping[str, Any]:
    """The quickest way's figures of those that were left in."""
    ways = [row["figures"] for row in plan["rows"] if row["shape"] == shape and not row["dropped"]]
    return min(ways, key=lambda figures: figures["p50"]["value"], default={})


def _metric(facts: Mapping[str, Any]) -> str:
    return "accuracy" if "accuracy" in facts["figures"] else "pearson"


def _comparable(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether answers are names, of which two are the same or not."""
    return bool(lines) and "label" in lines[0] and isinstance(lines[0]["answer"], str)


def _length(line: Mapping[str, Any]) -> int:
    return len(line["text"]) + len(line.get("text_b", ""))


def _text(line: Mapping[str, Any]) -> str:
    whole = " / ".join(line[name] for name in ("text", "text_b") if name in line)
    return whole if len(whole) <= _CHARACTERS else whole[: _CHARACTERS - 1] + "…"


def _name(shape: Mapping[str, Any]) -> str:
    return Shape(**shape).name


def _unit(name: str) -> str:
    return next(iter(KINDS[name].units), "")


def _shown(name: str, figures: Mapping[str, Any]) -> str:
    return shown(name, figures[name]["value"]) if name in figures else "—"
