"""A run on one page: what it came to, how it got there, from what, on which machine, and for how much."""

from collections.abc import Mapping
from typing import Any

from distilbert.core.machine import describe_machine
from distilbert.core.teachers.agreement import agreement_rows, counted
from distilbert.report import page as html
from distilbert.report.charts import line_chart

_JOBS = {
    "distill": "A student of its teacher",
    "pretrain": "A model that tells hidden words",
    "finetune": "A classifier",
}

#: What rows that are held out show, in words.
_SHOWN = {
    "masked_lm": "hidden words, nats",
    "teacher_masked_lm": "hidden words, the teacher, nats",
    "distribution": "distance from the teacher's distribution, nats",
    "agreement": "same most likely word as the teacher",
    "accuracy": "most likely word is the true one",
    "masked_token_perplexity": "hidden tokens, perplexity of their cross-entropy",
    "masked_words": "words hidden whole, nats a word",
    "masked_word_perplexity": "words hidden whole, perplexity a word",
}


def training_page(
    facts: Mapping[str, Any],
    losses: Mapping[str, list[float]],
    judged: list[dict[str, float]],
    *,
    hourly_price: float | None = None,
    devices: int = 1,
) -> str:
    """The whole page.

    Args:
        facts: of the run, as ``distilbert.json`` has them.
        losses: by term, one number a step.
        judged: what rows that were held out showed, step by step.
        hourly_price: of one device, in any currency; the page says what the run cost.
        devices: that it ran on.
    """
    training, recipe = facts["training"], facts["recipe"]
    hours = devices * training["seconds"] / 3600
    last = judged[-1] if judged else {}
    figures = [(f"{training['seconds'] / 60:.1f} min", f"of training, {training['steps']:,} steps")]
    if "tokens" in training:
        speed = training.get("tokens_per_second", training["tokens"] / max(1e-9, training["seconds"]))
        figures.append((f"{training['tokens'] / 1e6:,.2f} M", f"tokens, {speed:,.0f} a second"))
    if "mfu" in training:
        figures.append((f"{training['mfu']:.1%}", "of the devices' peak in bfloat16 went into the model"))
    if "masked_token_perplexity" in last and "agreement" not in last:
        figures.insert(0, (f"{last['masked_token_perplexity']:,.2f}", "perplexity of hidden tokens"))
    if "agreement" in last:
        figures.insert(0, (f"{last['agreement']:.1%}", "of its teacher's first choices at hidden words"))
    figures.append((f"{facts['parameters'] / 1e6:.1f} M", "parameters"))
    cost = [["device-hours", f"{hours:.2f}"]]
    if hourly_price is not None:
        cost.append([f"cost at {hourly_price:g} an hour", f"{hours * hourly_price:.2f}"])
    return html.page(
        "distilbert " + facts["made_by"],
        html.heading(_title(facts), _lead(facts)),
        html.cards(figures),
        html.section("How it learnt", html.columns(*_charts(losses, judged))),
        *(_looked_at(judged, training) if judged else []),
        *([html.section("Scores", _scores(facts["evaluation"]))] if "evaluation" in facts else []),
        *(
            [html.section("Beside its teacher, on gold rows", _agreement(facts))]
            if "agreement" in facts
            else []
        ),
        html.section("Time and cost", html.table(["", ""], cost)),
        html.section("Settings", html.table(["field", "value"], _rows(recipe))),
        html.section("Machine", html.table(["", ""], _rows(_machine(facts.get("backend", "torch"))))),
    )


def _title(facts: Mapping[str, Any]) -> str:
    task = facts.get("task", {}).get("name", "classification")
    if facts["made_by"] == "finetune" and "classification" not in task:
        return f"A model for {task.replace('-', ' ')}"
    return _JOBS.get(facts["made_by"], facts["made_by"])


def _lead(facts: Mapping[str, Any]) -> str:
    text = facts.get("text")
    if "task" in facts and "name" in facts["task"]:
        return f"For {facts['task']['name']}, from {facts['data']['labelled']:,} examples."
    said = f"{text['sequences']:,} sequences, {text['tokens'] / 1e6:,.2f} M tokens. " if text else ""
    if "teacher_layers" in facts:
        layers = ", ".join(map(str, facts["teacher_layers"])) or "none"
        said += f"Layers of the teacher that it began with: {layers}."
    return said


def _charts(losses: Mapping[str, list[float]], judged: list[dict[str, float]]) -> list[str]:
    smooth = max(1, len(next(iter(losses.values()), [])) // 40)
    charts = [
        html.figure(
            line_chart(losses, x="step", y="loss", smooth=smooth, log=True), "Each term, and their sum."
        )
    ]
    shown: dict[str, list[float]] = {
        name: [look[name] for look in judged]
        for name in ("masked_lm", "distribution")
        if judged and name in judged[0]
    }
    if shown and len(judged) > 1:
        words = "On held-out text, one look after another."
        charts.append(html.figure(line_chart(shown, x="look", y="nats"), words))
    return charts


def _looked_at(judged: list[dict[str, float]], training: Mapping[str, Any]) -> list[str]:
    """What rows that are held out showed: of hidden words, or of a task's answers."""
    if "kept" not in training:
        return [html.section("On text that it did not learn from", _held_out(judged))]
    kept = next(look for look in judged if look["step"] == training["kept"]["step"])
    names = [name for name in kept if name != "step"]
    columns = [f"after {look['step']:.0f} steps" for look in (judged[0], kept, judged[-1])]
    columns[1] += ", kept"
    rows = [
        [name.replace("_", " "), *(f"{look[name]:.4f}" for look in (judged[0], kept, judged[-1]))]
        for name in names
    ]
    metric = next(name for name in training["kept"] if name != "step")
    parts = [html.table(["", *columns], rows)]
    if len(judged) > 1:
        title = metric.replace("_", " ")
        chart = line_chart({title: [look[metric] for look in judged]}, x="look", y=title)
        parts.append(html.columns(html.figure(chart, "What decides which weights are kept.")))
    if training.get("stopped_early"):
        parts.append(html.paragraph("It stopped early: further steps made it no better.", faint=True))
    return [html.section("Looks at examples that it did not learn from", *parts)]


def _held_out(judged: list[dict[str, float]]) -> str:
    first, last = judged[0], judged[-1]
    names = [name for name in _SHOWN if name in last]
    rows = [[_SHOWN[name], f"{first[name]:.3f}", f"{last[name]:.3f}"] for name in names]
    table = html.table(["", f"after {first['step']:.0f} steps", f"after {last['step']:.0f} steps"], rows)
    if "teacher_masked_lm" not in last:
        return table
    retention = last["teacher_masked_lm"] / last["masked_lm"]
    note = f"The teacher's loss is {retention:.1%} of the student's; at 100% the student tells words as well."
    return table + html.paragraph(note, faint=True)


def _scores(found: Mapping[str, Any]) -> str:
    """Each metric with its interval, and over how many rows."""
    rows = [
        [name.replace("_", " "), f"{score['value']:.4f}", f"{score['low']:.4f} to {score['high']:.4f}"]
        for name, score in found.items()
        if isinstance(score, Mapping)
    ]
    note = f"{found['rows']} rows, of which {found['cut_to_max_length']} were cut to the greatest length."
    return html.table(["", "value", "95% interval"], rows) + html.paragraph(note, faint=True)


def _agreement(facts: Mapping[str, Any]) -> str:
    found = facts["agreement"]
    note = html.paragraph(counted(found, "examples that were not learnt from") + ".", faint=True)
    if not found["rows"]:
        return note
    return html.table(["", "value", "95% interval"], agreement_rows(found)) + note


def _rows(content: Mapping[str, Any]) -> list[list[str]]:
    return [[name.replace("_", " "), str(value)] for name, value in content.items()]


def _machine(backend: str) -> dict[str, Any]:
    machine = describe_machine((backend, "numpy", "tokenizers"))
    versions = machine.pop("versions")
    return {**machine, "isa": ", ".join(machine["isa"]), **versions}
