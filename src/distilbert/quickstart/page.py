"""``report.html``: what came out, whichever way it came out, in the words that the figures allow."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilbert.report import page as html
from distilbert.report.charts import interval_chart, line_chart

_ROLES = {
    "teacher": "all layers",
    "student": "half the layers, distilled and taught",
    "control": "half the layers, labels only",
}

#: Columns of the two tables of models, in the terminal and on the page.
SCORE_COLUMNS = ("model", "accuracy (95% interval)", "macro-F1 (95% interval)")
COST_COLUMNS = ("model", "parameters", "file", "one text", "many texts", "fine-tuning")

NEXT_COMMANDS = (
    "distilbert pretrain --model your-bert/ --text your-texts.txt --out teacher-lm/",
    "distilbert distill --teacher teacher-lm/ --text your-texts.txt --layers 3 --out student-lm/",
    "distilbert finetune --model teacher-lm/ --train your-train.csv --eval your-test.csv --out teacher/",
    "distilbert finetune --model student-lm/ --train your-train.csv --eval your-test.csv "
    "--teacher teacher/ --unlabelled your-texts.txt --out student/",
    "distilbert evaluate --model student/ --data your-test.csv",
    'distilbert predict --model student/ "A text of your own."',
)


def score_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """How good each model is."""
    return [
        [
            f"{name}: {_ROLES[name]}",
            _with_interval(scores["accuracy"]),
            _with_interval(scores["macro_f1"]),
        ]
        for name, scores in report["scores"].items()
    ]


def cost_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """How big and how fast each model is, and how long its fine-tuning took."""
    return [
        [
            name,
            f"{model['parameters'] / 1e6:.1f} M",
            f"{model['file_bytes'] / 1e6:.0f} MB",
            f"{model['latency_ms']:.1f} ms",
            f"{model['texts_per_s']:.0f}/s "
            f"({model['slowest_texts_per_s']:.0f}–{model['fastest_texts_per_s']:.0f})",
            f"{report['seconds'][f'finetune_{name}']:.0f} s",
        ]
        for name, model in report["models"].items()
    ]


def findings(report: Mapping[str, Any]) -> list[str]:
    """What the figures say, as sentences; an interval that holds the even point says nothing more."""
    retention = report["retention"]["accuracy"]
    ahead = report["student_over_control"]["accuracy"]
    teacher, student = report["models"]["teacher"], report["models"]["student"]
    if ahead["low"] > 0:
        verdict = "so all that its teacher gave it is worth more than the noise of this test set"
    elif ahead["high"] < 0:
        verdict = "so here what its teacher gave it did harm"
    else:
        verdict = "so by this test set alone the two cannot be told apart"
    side = "ahead of" if ahead["value"] >= 0 else "behind"
    return [
        f"The student keeps {retention['value']:.1%} of its teacher's accuracy "
        f"(95% interval {retention['low']:.1%} to {retention['high']:.1%}).",
        f"It is {abs(100 * ahead['value']):.1f} points {side} the control, which had the same labels and "
        f"no teacher ({100 * ahead['low']:+.1f} to {100 * ahead['high']:+.1f}), {verdict}.",
        "Its teacher gave it two things: a start, by distillation on plain text, and answers to learn from, "
        "on labelled and unlabelled texts. This run does not tell their shares apart; "
        "benchmarks/quickstart.py does, over several seeds.",
        f"It has {student['parameters'] / teacher['parameters']:.0%} of the parameters, most of them the "
        f"vocabulary's, and classifies {student['texts_per_s'] / teacher['texts_per_s']:.2f} times as many "
        "texts a second.",
    ]


def extra_cost(report: Mapping[str, Any]) -> str:
    """What the student cost beside its fine-tuning."""
    seconds = report["seconds"]
    return (
        f"Adapting the teacher to the text took {seconds['adapt']:.0f} s and distilling "
        f"{seconds['distil']:.0f} s, once for any number of tasks."
    )


def report_page(report: Mapping[str, Any]) -> str:
    """The whole page, from the content of ``report.json``."""
    seconds, data, machine = report["seconds"], report["data"], report["machine"]
    retention = report["retention"]["accuracy"]
    student, teacher = report["models"]["student"], report["models"]["teacher"]
    scores = {
        name: (s["accuracy"]["value"], s["accuracy"]["low"], s["accuracy"]["high"])
        for name, s in report["scores"].items()
    }
    curves = report["curves"]
    answers = [[p["text"], p["label"], f"{p['score']:.0%}"] for p in report["predictions"]]
    return html.page(
        "distilbert quickstart",
        html.heading(
            "A teacher, its student, and the student that had no teacher",
            "Which part of Python's standard library does a docstring document? "
            f"{data['labelled']} labelled examples, {data['unlabelled']:,} without a label, "
            f"{data['test']:,} held out.",
        ),
        html.cards(
            [
                (f"{retention['value']:.1%}", "of the teacher's accuracy kept"),
                (f"{student['texts_per_s'] / teacher['texts_per_s']:.2f}×", "the teacher's speed"),
                (f"{student['file_bytes'] / 1e6:.0f} MB", f"instead of {teacher['file_bytes'] / 1e6:.0f} MB"),
                (f"{seconds['total'] / 60:.1f} min", "for everything on this page"),
            ]
        ),
        *(html.paragraph(sentence) for sentence in findings(report)),
        html.section(
            "The three models",
            html.table(SCORE_COLUMNS, score_rows(report)),
            html.figure(interval_chart(scores, x="accuracy on held-out rows"), "Accuracy with its interval."),
            html.table(COST_COLUMNS, cost_rows(report)),
            html.paragraph(
                "Intervals are 95% bootstrap intervals over the held-out rows of this one run. One text: the "
                "median time for a text alone. Many texts: the rate for a pile of them, with the slowest and "
                "the fastest round. All three had the same fine-tuning steps, seed and labelled rows in a "
                "step; the student's steps took longer because it saw unlabelled rows beside them.",
                faint=True,
            ),
        ),
        html.section(
            "What the student cost besides",
            html.paragraph(
                f"{extra_cost(report)} The text is "
                f"{data['corpus_texts']:,} docstrings, {data['corpus_characters'] / 1e6:.1f} million "
                "characters, none of which shares eight words in a row with a held-out row."
            ),
            html.columns(
                html.figure(
                    line_chart(_named(curves["adapt"], ["masked_lm"]), x="step", y="loss", smooth=10),
                    "The teacher learns to tell hidden words of this text.",
                ),
                html.figure(
                    line_chart(
                        _named(curves["distil"], ["masked_lm", "distribution", "cosine"]),
                        x="step",
                        y="loss",
                        smooth=10,
                        log=True,
                    ),
                    "The student's triple loss: the hidden words, the teacher's distribution over them, "
                    "and the angle between both models' last states.",
                ),
                html.figure(
                    line_chart(
                        {name: curves[f"finetune_{name}"]["labels"] for name in scores},
                        x="step",
                        y="label loss",
                        smooth=10,
                        log=True,
                    ),
                    "Fine-tuning: the loss on the few labels.",
                ),
            ),
        ),
        html.section(
            "Sentences it has never seen",
            html.table(("text", "the student says", "probability"), answers),
        ),
        html.section("Next, on your own files", html.commands(NEXT_COMMANDS)),
        html.paragraph(
            f"{machine['cpu']}, {machine['cores']} cores; "
            + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
            + f"; seed {report['seed']}.",
            faint=True,
        ),
    )


def _with_interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def _named(losses: Mapping[str, Sequence[float]], names: Sequence[str]) -> dict[str, Sequence[float]]:
    return {name.replace("_", " "): losses[name] for name in names if name in losses}
