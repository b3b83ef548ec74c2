"""A model card: what a folder's model is, how it was made and how good it was, from its own facts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distilbert.core.files import write_atomically

CARD_FILE = "README.md"

#: Tells a card of ours, which may be written anew, from a page that somebody has written.
_MARK = "<!-- written by distilbert from the facts of the run -->"

#: What hubs call the tasks.
_HUB_NAMES = {
    "sequence-classification": "text-classification",
    "multi-label-classification": "text-classification",
    "regression": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "multiple-choice": "multiple-choice",
    "sentence-embedding": "sentence-similarity",
}

#: Fields of a recipe that everyone asks for.
_ASKED = (
    "epochs", "steps", "batch_size", "learning_rate", "warmup_share", "weight_decay", "max_length",
    "precision", "seed", "freeze", "layer_rate_decay", "lora_rank", "class_weights",
)  # fmt: skip


def write_card(folder: Path, facts: Mapping[str, Any], *, name: str) -> None:
    """Write a folder's card, unless somebody's own page stands there.

    Args:
        folder: the model's.
        facts: as ``distilbert.json`` has them.
        name: of the model.
    """
    path = folder / CARD_FILE
    if is_ours(path):
        write_atomically(path, card(facts, name=name).encode())


def is_ours(path: Path) -> bool:
    """Whether a card may be written there: nothing stands there, or an older card of ours."""
    try:
        return _MARK in path.read_text(errors="replace")[:4000]
    except FileNotFoundError:
        return True
    except OSError:
        return False


def card(facts: Mapping[str, Any], *, name: str) -> str:
    """The card's text; what the facts do not say it leaves out."""
    return "\n".join(_lines(facts, name)) + "\n"


def _lines(facts: Mapping[str, Any], name: str) -> Iterator[str]:
    task: Mapping[str, Any] = facts.get("task", {})
    yield "---"
    yield "library_name: distilbert"
    if task.get("name") in _HUB_NAMES:
        yield f"pipeline_tag: {_HUB_NAMES[task['name']]}"
    yield from ("---", "", f"# {_plain(name)}", "", _MARK, "")
    labels = task.get("labels", [])
    about = f"A model for {task.get('name', 'text').replace('-', ' ')}"
    about += f", of {facts['parameters']:,} parameters" if "parameters" in facts else ""
    yield about + "."
    if labels:
        shown = ", ".join(_plain(label) for label in labels[:20])
        yield f"Its labels: {shown}{f', and {len(labels) - 20} more' if len(labels) > 20 else ''}."
    use = f'predict --model {_plain(name)} "some text"'
    if task.get("name") == "sentence-embedding":
        use = f"embed --model {_plain(name)} --text texts.txt --out vectors.npy"
    yield from ("", "```sh", f"distilbert {use}", "```", "")
    yield from _training(facts)
    yield from _scores(facts)
    yield from _settings(facts.get("recipe", {}))


def _training(facts: Mapping[str, Any]) -> Iterator[str]:
    data: Mapping[str, Any] = facts.get("data", {})
    training: Mapping[str, Any] = facts.get("training", {})
    yield from ("## How it was made", "")
    if "labelled" in data:
        yield f"- Fine-tuned on {data['labelled']:,} labelled examples" + (
            f" and {data['unlabelled']:,} without labels." if data.get("unlabelled") else "."
        )
    if "base" in facts:
        yield f"- Begun with `{_plain(str(facts['base']))}`."
    if facts.get("taught"):
        kind = facts.get("teacher", {}).get("kind", "teacher")
        yield f"- It learnt the answers of a {kind} too."
    if data.get("cut_to_max_length"):
        yield (
            f"- {data['cut_to_max_length']:,} examples were longer than {facts.get('max_length')} tokens "
            "and were cut."
        )
    if "steps" in training:
        yield f"- {training['steps']:,} steps in {training['seconds']:,.0f} s." + (
            " It stopped early: further steps made it no better." if training.get("stopped_early") else ""
        )
    if "kept" in training:
        (metric, value), *_ = [item for item in training["kept"].items() if item[0] != "step"]
        yield (
            f"- The weights are those after step {training['kept']['step']:,.0f}, where "
            f"{metric.replace('_', ' ')} was best ({value:.3f})."
        )
    if "seeds" in facts:
        found = facts["seeds"]
        yield (
            f"- {len(found['values'])} seeds: {found['metric'].replace('_', ' ')} median "
            f"{found['median']:.3f}, from {min(found['values']):.3f} to {max(found['values']):.3f}; "
            f"this is seed {found['kept']}."
        )
    yield ""


def _scores(facts: Mapping[str, Any]) -> Iterator[str]:
    scores: Mapping[str, Any] = facts.get("evaluation", {})
    estimates = {name: each for name, each in scores.items() if isinstance(each, Mapping) and "value" in each}
    if not estimates:
        return
    rows = f"{scores['rows']:,} examples" if "rows" in scores else "examples"
    yield from ("## How good it is", "")
    yield f"On {rows} that it did not learn from, with intervals of 95% from resampling these examples."
    if "kept" in facts.get("training", {}):
        yield (
            "The same examples chose which weights were kept: expect a little less of others, and judge by a "
            "table that had no part in it."
        )
    yield from ("", "| metric | value | low | high |", "| --- | ---: | ---: | ---: |")
    for name, each in estimates.items():
        shown = " | ".join(f"{each[end]:.4f}" for end in ("value", "low", "high"))
        yield f"| {_plain(name.replace('_', ' '))} | {shown} |"
    yield ""


def _settings(recipe: Mapping[str, Any]) -> Iterator[str]:
    chosen = {name: recipe[name] for name in _ASKED if recipe.get(name) not in (None, "none", 0)}
    if not chosen:
        return
    yield from ("## Settings", "", "| field | value |", "| --- | --- |")
    for name, value in chosen.items():
        yield f"| {name} | {value:g} |" if isinstance(value, float) else f"| {name} | {_plain(str(value))} |"
    yield from ("", "All of them are in `distilbert.json`.")


def _plain(text: str) -> str:
    """A word of the user's as it can stand in a line of Markdown, or in a cell."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
