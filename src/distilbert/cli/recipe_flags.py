"""A flag for every field of a recipe, so that whatever a file may say a command may say too."""

import argparse
from collections.abc import Collection
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_type_hints

from distilbert.core.recipe import Training

Recipe = TypeVar("Recipe", bound=Training)

#: What weighs the terms of a loss; without a teacher a language model has one term.
LOSSES = "losses"

#: By group, each field and what its flag says; the usual value is put behind it. The order is that of --help.
_FIELDS: dict[str, dict[str, str]] = {
    "recipe": {
        "epochs": "passes over the data",
        "steps": "optimiser steps, instead of epochs",
        "tokens": "to read before the end, instead of epochs",
        "batch_size": "texts in a step",
        "micro_batch_size": "texts in memory at once; changes no result",
        "unlabelled_batch_size": "texts without labels in a step, beside those with",
        "max_length": "tokens of a text",
        "min_length": "tokens below which a text is left out",
        "precision": "auto, fp32 or bf16; auto is bf16 where it is fast",
        "compile": "compile the feed-forwards; the same losses, to rounding",
        "seed": "decides everything that is drawn",
    },
    "optimiser": {
        "learning_rate": "at its highest",
        "new_weights_rate": "weights drawn anew learn so many times as fast",
        "warmup_share": "of the steps, in which the rate rises",
        "weight_decay": "of kernels and embeddings",
        "adam_betas": "how long AdamW remembers",
        "adam_eps": "of AdamW",
        "max_grad_norm": "gradients are scaled down to this norm",
        "dropout": "while training, everywhere (the model's own)",
    },
    "what learns": {
        "freeze": "what does not: none, embeddings, or a number of the lowest layers",
        "layer_rate_decay": "each layer learns at this share of the rate of the one above it",
        "lora_rank": "of adapters that learn in the place of layers; 0 is without",
        "lora_alpha": "what they add is multiplied with this over their rank",
        "lora_dropout": "of what they read",
        "lora_at": "where they stand: attention, or all of a layer",
    },
    "questions": {
        "doc_stride": "tokens that neighbouring windows of a context share",
        "null_threshold": "by how much having no answer must be above the best one (fitted to --eval)",
    },
    "hidden words": {
        "masking": "what is hidden together: token, word or span",
        "mask_rate": "share of the tokens that is hidden",
        "mask_share": "of those, behind [MASK]",
        "keep_share": "of those, behind themselves; the rest behind a random word",
        "smoothing": "how strongly rare words are hidden more often; 0 not at all",
    },
    LOSSES: {
        "class_weights": "balanced lets rare labels count as much as frequent ones; none",
        "label_weight": "of the true labels; 0 leaves a term out, here and below",
        "teacher_weight": "of the divergence from a teacher's answers",
        "masked_lm_weight": "of the hidden words themselves; 0 leaves a term out, here and below",
        "distribution_weight": "of the divergence from the teacher's distribution",
        "jensen_shannon_weight": "of the divergence of both distributions from their mean",
        "logits_error_weight": "of the squared differences of logits",
        "temperature": "of both distributions in the divergences",
        "positions": "where distributions are learnt: masked, masked+10%%, or all",
        "special_positions": "learn from the teacher at [CLS] and [SEP] too",
        "cosine_weight": "of the angle between both models' last states",
        "hidden_weight": "of how far layers' states are from the teacher's",
        "hidden_loss": "how that is measured: error (squared) or cosine",
        "hidden_layers": "which layers: uniform, last, or pairs such as 0:1,1:3",
        "relation_weight": "of how queries, keys and values relate to each other",
        "relation_heads": "into which those are split (the student's own number)",
        "relation_layer": "of the teacher, that relations are learnt from (its last)",
        "freeze_positions": "leave the position table as it was copied",
    },
    "vectors": {
        "pair_loss": "contrastive, cosine or margin, of texts that belong together; auto as the columns say",
        "similarity_scale": "of cosines, in the contrastive loss",
        "margin": "by how much the one text is to be nearer than the other",
        "vector_loss": "how far vectors are from a teacher's: cosine or error (squared)",
        "pooling": "how states become a vector: mean, cls, max and others (what the folder says, or mean)",
    },
    "looks and copies": {
        "held_out": "sequences that are only judged by",
        "judge_every": "steps between two looks at them",
        "eval_share": "of the examples, to judge by where there is no --eval (0.1 if enough)",
        "looks_per_epoch": "how often the model is judged; the best one is kept",
        "look_examples": "that a look takes of those to judge by",
        "best_by": "the metric that decides (the task's first)",
        "patience": "looks without a better one that end the run; 0 is never",
        "checkpoint_every": "steps between copies to go on from",
    },
}

#: Fields whose own name another flag has.
_NAMES = {"positions": "heard_at"}


def add_recipe(
    parser: argparse.ArgumentParser,
    *kinds: type[Training],
    default: str | None = "default",
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> None:
    """The recipe, by name or file, and a flag for each of its fields.

    Args:
        parser: of a command.
        *kinds: which recipes' fields; the first one's usual values are shown.
        default: the recipe's name where none is given; None leaves that to the command.
        without: groups that the command has no use for.
        only: fields that the command has a use for; None is all.
    """
    group = parser.add_argument_group("recipe")
    named = ", ".join(dict.fromkeys(name for kind in kinds for name in kind.named))
    without_one = default or "the run's own"
    group.add_argument(
        "--recipe",
        default=default,
        metavar="FILE|NAME",
        help=f"{named}, or a .toml or .json file of its fields ({without_one}); flags below override it",
    )
    hints = {name: hint for kind in reversed(kinds) for name, hint in get_type_hints(kind).items()}
    usual = [kind.read(default if default and default in kind.named else "default") for kind in kinds]
    for title, flags in _FIELDS.items():
        wanted = [name for name in flags if name in hints and (only is None or name in only)]
        if not wanted or title in without:
            continue
        if title != "recipe":
            group = parser.add_argument_group(title)
        for name in wanted:
            value = next(getattr(recipe, name) for recipe in usual if hasattr(recipe, name))
            shown = "" if value is None else f" ({_written(value)})"
            group.add_argument(
                f"--{_NAMES.get(name, name).replace('_', '-')}",
                dest=_NAMES.get(name, name),
                help=flags[name] + shown,
                **_read_as(name, hints[name]),
            )


def read_recipe(args: argparse.Namespace, kind: type[Recipe]) -> Recipe:
    """The recipe that the flags name, with the fields that they change."""
    names = [field.name for field in fields(kind)]
    return kind.read(args.recipe).with_changes(
        **{name: getattr(args, _NAMES.get(name, name), None) for name in names}
    )


def layer_pairs(text: str) -> str | list[list[int]]:
    """``"0:1,1:3"`` is pairs of a student's and a teacher's layer; another text is its own word."""
    if ":" not in text:
        return text
    try:
        return [[int(layer) for layer in pair.split(":")] for pair in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"pairs such as 0:1,1:3, not {text!r}") from None


def _read_as(name: str, hint: Any) -> dict[str, Any]:
    """How argparse is to read a field of this type."""
    if name == "adam_betas":
        return {"type": float, "nargs": 2, "metavar": ("B1", "B2")}
    if name == "hidden_layers":
        return {"type": layer_pairs, "metavar": "PAIRS"}
    types = {one for one in (get_args(hint) or (hint,)) if one is not type(None)}
    if types == {bool}:
        return {"action": argparse.BooleanOptionalAction}
    if types == {str}:
        return {"metavar": "WORD"}
    return {"type": int, "metavar": "N"} if types == {int} else {"type": float, "metavar": "X"}


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
