"""Say what a model folder holds.

Reads its configuration and the headers of its weights.

  distilbert info classifier/
"""

import argparse
from typing import TYPE_CHECKING, Any

from distilbert.cli.display import Display

if TYPE_CHECKING:
    from distilbert.core.sentence_folders import SentenceModules


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="MODEL", help="a model folder, or its name on a hub")


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.core.checkpoint import count_weights
    from distilbert.core.config import read_config
    from distilbert.core.facts import read_facts
    from distilbert.core.hub import Part, local_folder
    from distilbert.core.sentence_folders import encoder_folder, read_modules

    folder = local_folder(args.folder, wanted={Part.CONFIG, Part.WEIGHTS, Part.FACTS, Part.MODULES})
    modules = read_modules(folder)
    folder = encoder_folder(folder)
    config = read_config(folder)
    facts = read_facts(folder)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
    found: dict[str, Any] = {
        "folder": str(folder),
        "architecture": (config.architectures or [config.model_type])[0],
        "layers": config.n_layers,
        "heads": config.n_heads,
        "width": config.dim,
        "vocabulary": config.vocab_size,
        "positions": config.max_position_embeddings,
        "parameters": count_weights(folder),
        "sentence vectors": _modules(modules),
        "labels": facts.get("task", {}).get("labels", []),
        "made by": facts.get("made_by", "another program"),
        "files": sizes,
    }
    lines = [f"{name:>14}  {_readable(value)}" for name, value in found.items() if value not in ([], {})]
    display.result("\n".join(lines), {**found, "facts": facts})


def _modules(modules: "SentenceModules | None") -> list[str]:
    if modules is None:
        return []
    return [*modules.pooling.modes, *(type(module).__name__.lower() for module in modules.after)]


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return "\n                ".join(f"{name} ({_size(size)})" for name, size in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:,} bytes"
