"""How good a model is, on one page: figures, label by label, how far it can be believed, where it errs."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilbert.core.tasks.calibration import BINS
from distilbert.report import page as html
from distilbert.report.charts import interval_chart, matrix_chart, reliability_chart

#: Stands in the page, so that it can be told from pages that are not ``evaluate``'s to replace.
MARK = "<!-- distilbert evaluate -->"

#: Labels of a drawn confusion matrix; of more, a table of the pairs that are confused most.
_DRAWN, _PAIRS = 20, 30

#: Characters of a label in a drawing.
_LABEL = 24


def evaluation_page(
    found: Mapping[str, Any], *, model: str, data: str, task: str, fitted: Mapping[str, Any] | None = None
) -> str:
    """The whole page.

    Args:
        found: what ``evaluate`` returned.
        model: what it is called.
        data: what it was judged by.
        task: its name.
        fitted: what ``calibrate`` returned, where it was asked to.
    """
    figures = {name: one for name, one in found.items() if isinstance(one, Mapping) and "low" in one}
    lead = f"{model}, for {task}, on {found['rows']:,} examples of {data}."
    cards = [(f"{one['value']:.3f}", _named(name)) for name, one in list(figures.items())[:4]]
    if "calibration" in found:
        cards.append((f"{found['calibration']['error']:.3f}", "calibration error"))
    return html.page(
        f"{model} on {data}",
        MARK,
        html.heading("How good it is", lead),
        html.cards(cards),
        html.section("Scores", *_scores(found, figures)),
        *(_against(model, found["against"], figures) if "against" in found else []),
        *(_classes("By kind of entity", found["entities"]) if "entities" in found else []),
        *(_classes("Label by label", found["classes"]) if "classes" in found else []),
        *(_confusion(found["confusion_matrix"]) if "confusion_matrix" in found else []),
        *(_calibration(found["calibration"], fitted, task) if "calibration" in found else []),
        *(_unanswered(fitted) if fitted and "null_threshold" in fitted else []),
        *(_mistakes(found["mistakes"]) if "mistakes" in found else []),
    )


def comparison_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """The rows of ``COMPARISON_COLUMNS``, for a page or a terminal."""
    return [
        [
            name,
            _named(metric),
            f"{one['value']:.4f}",
            f"{one['difference']['value']:+.4f}",
            f"{one['difference']['low']:+.4f} to {one['difference']['high']:+.4f}",
            f"{one['p']:.3f}",
            f"{one['p_of_all']:.3f}",
        ]
        for name, metrics in found.items()
        for metric, one in metrics.items()
    ]


COMPARISON_COLUMNS = ("against", "metric", "its value", "difference", "95% interval", "p", "p of all")


def class_rows(table: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """The rows of ``CLASS_COLUMNS``, likewise."""
    return [
        [label, *(f"{own[name]:.4f}" for name in ("precision", "recall", "f1")), f"{own['rows']:,}"]
        for label, own in table.items()
    ]


CLASS_COLUMNS = ("label", "precision", "recall", "F1", "true")


def _scores(found: Mapping[str, Any], figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    rows = [
        [_named(name), f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}"]
        for name, one in figures.items()
    ]
    note = (
        f"{found['rows']} rows, of which {found['cut_to_max_length']} were cut to the greatest length. "
        "Intervals are of resampled rows."
    )
    return [html.table(["", "value", "95% interval"], rows), html.paragraph(note, faint=True)]


def _against(
    model: str, found: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Mapping[str, float]]
) -> list[str]:
    first = next(iter(figures))
    values = {name: metrics[first]["difference"] for name, metrics in found.items()}
    shown = {name: (one["value"], one["low"], one["high"]) for name, one in values.items()}
    chart = interval_chart(shown, x=f"{_named(first)} of {model}, less the other's")
    note = (
        "Above zero, the model's figure is the larger one. p: how often a difference of that size comes "
        "about where chance says, row by row, which model gave which answer. p of all: the same, corrected "
        "for the number of models compared (Holm)."
    )
    table = html.table(COMPARISON_COLUMNS, comparison_rows(found))
    words = "On the same rows, with 95% intervals of shared resamples."
    return [html.section("Beside others", html.figure(chart, words), table, html.paragraph(note, faint=True))]


def _classes(title: str, table: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [html.section(title, html.table(CLASS_COLUMNS, class_rows(table)))]


def _confusion(found: Mapping[str, Any]) -> list[str]:
    labels, counts = found["labels"], found["counts"]
    if len(labels) <= _DRAWN:
        short = [label if len(label) <= _LABEL else label[: _LABEL - 1] + "…" for label in labels]
        chart = matrix_chart(counts, short, x="told", y="true")
        words = "Each row's true label down, what was told across; the diagonal is right."
        return [html.section("What is taken for what", html.figure(chart, words))]
    pairs = [
        (count, labels[i], labels[j])
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    rows = [[true, told, str(count)] for count, true, told in pairs[:_PAIRS]]
    note = f"{len(labels)} labels are too many to draw: these are confused most."
    parts = [html.table(["true", "told", "rows"], rows), html.paragraph(note, faint=True)]
    return [html.section("What is taken for what", *parts)]


def _calibration(found: Mapping[str, Any], fitted: Mapping[str, Any] | None, task: str) -> list[str]:
    several = task == "multi-label-classification"
    x, y = ("probability of a label", "share of true labels") if several else ("confidence", "share right")
    chart = reliability_chart(found["bins"], x=x, y=y)
    note = (
        f"Expected calibration error {found['error']:.4f}: how far confidence is from the share that is "
        f"right, on average, in {BINS} bins. Logits were divided by {found['temperature']:.3f}."
    )
    parts = [
        html.figure(
            chart,
            "On the dashed line, confidence is how often it is right. Steps: how many decisions there are.",
        ),
        html.paragraph(note),
    ]
    if fitted:
        parts.append(
            html.paragraph(
                f"The folder now keeps a temperature of {fitted['temperature']:.3f}, fitted to these rows: "
                f"an error of {fitted['error']['before']:.4f} became {fitted['error']['after']:.4f} on them."
            )
        )
    return [html.section("Can it be believed?", *parts)]


def _unanswered(fitted: Mapping[str, Any]) -> list[str]:
    note = (
        f"The folder now tells no answer where that is above the best one by more than "
        f"{fitted['null_threshold']:.4f}, fitted to {fitted['rows']:,} rows: F1 was "
        f"{fitted['f1']['before']:.4f} on them and became {fitted['f1']['after']:.4f}."
    )
    return [html.section("When is there no answer?", html.paragraph(note))]


def _mistakes(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    if not listed:
        return [html.section("Mistakes", html.paragraph("None."))]
    measure = "off" if "off" in listed[0] else "confidence"
    signed = "+.4g" if measure == "off" else ".3f"
    rows = [
        [one["text"], one["true"], one["told"], format(one[measure], signed), one["at"]] for one in listed
    ]
    note = "The surest first: often it is the data that is wrong." if measure == "confidence" else ""
    parts = [html.table(["text", "true", "told", measure, "at"], rows)]
    return [html.section("Mistakes", *([html.paragraph(note, faint=True)] if note else []), *parts)]


def _named(metric: str) -> str:
    return metric.replace("_", " ")
