"""What a run is: how long, how fast, which losses. From a name, a file or flags; kept with the result."""

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from operator import index
from pathlib import Path
from typing import Any, ClassVar, Self

from distilbert.core import rules
from distilbert.core.data.masking import UNITS
from distilbert.core.pooling import POOLINGS
from distilbert.core.recipe_files import known_fields, read_fields
from distilbert.core.rules import Rule
from distilbert.errors import ConfigError

_positive = rules.number(1e-12, float("inf"))
_not_negative = rules.number(0, float("inf"))
_share = rules.number(0, 1)

#: "masked+5%": at hidden words, and at so many of the others.
_BESIDE = re.compile(r"masked\+(\d{1,2}(?:\.\d+)?)%")


def positions(name: str, value: Any) -> str:
    """Where a teacher is listened to."""
    if value in ("masked", "all") or (isinstance(value, str) and _BESIDE.fullmatch(value)):
        return str(value)
    raise ConfigError(
        f"{name} must be masked, all, or masked and a share of the others, such as masked+10%.",
        received=f"{name}={value!r:.80}",
        remedy="Choose masked unless you have a reason.",
    )


def layer_pairs(name: str, value: Any) -> str | tuple[tuple[int, int], ...]:
    """Which layers of two models are compared; that they are there shows when the models are known."""
    if value in ("uniform", "last"):
        return str(value)
    try:
        pairs = tuple((index(mine), index(theirs)) for mine, theirs in value)
    except (TypeError, ValueError):
        pairs = ()
    if not pairs:
        raise ConfigError(
            f"{name} must be uniform, last, or pairs of a student's and a teacher's layer.",
            received=f"{name}={value!r:.80}",
            remedy="Choose uniform, or give pairs such as [[0, 1], [1, 3]].",
        )
    return pairs


def frozen_layers(name: str, value: Any) -> str:
    """How much of an encoder does not learn; how many layers there are shows when the model is known."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text in ("none", "embeddings") or re.fullmatch(r"\d{1,4}", text):
        return text
    raise ConfigError(
        f"{name} must be none, embeddings, or a number of layers.",
        received=f"{name}={value!r:.80}",
        remedy="Choose embeddings, or a number such as 3: the embeddings and the lowest three layers.",
    )


_RULES: dict[str, Rule] = {
    "seed": rules.integer(0, 2**63 - 1),
    "epochs": rules.number(1e-12, 1e6),
    "steps": rules.optional(rules.integer(1)),
    "batch_size": rules.integer(1),
    "micro_batch_size": rules.integer(1),
    "max_length": rules.integer(4),
    "learning_rate": _positive,
    "new_weights_rate": _positive,
    "warmup_share": _share,
    "weight_decay": _not_negative,
    "adam_betas": rules.pair(rules.number(0, 1, below=True)),
    "adam_eps": _positive,
    "dropout": rules.optional(_share),
    "max_grad_norm": _positive,
    "precision": rules.one_of(("auto", "fp32", "bf16")),
    "checkpoint_every": rules.integer(1),
    "compile": rules.flag,
    "masked_lm_weight": _not_negative,
    "distribution_weight": _not_negative,
    "cosine_weight": _not_negative,
    "temperature": _positive,
    "jensen_shannon_weight": _not_negative,
    "logits_error_weight": _not_negative,
    "hidden_weight": _not_negative,
    "hidden_loss": rules.one_of(("error", "cosine")),
    "hidden_layers": layer_pairs,
    "relation_weight": _not_negative,
    "relation_heads": rules.optional(rules.integer(1)),
    "relation_layer": rules.optional(rules.integer(0)),
    "positions": positions,
    "special_positions": rules.flag,
    "held_out": rules.integer(0),
    "judge_every": rules.integer(1),
    "tokens": rules.optional(rules.integer(1)),
    "freeze_positions": rules.flag,
    "masking": rules.one_of(UNITS),
    "mask_rate": _share,
    "mask_share": _share,
    "keep_share": _share,
    "smoothing": _not_negative,
    "min_length": rules.integer(3),
    "unlabelled_batch_size": rules.integer(1),
    "label_weight": _not_negative,
    "teacher_weight": _not_negative,
    "pair_loss": rules.one_of(("auto", "contrastive", "cosine", "margin")),
    "similarity_scale": _positive,
    "margin": rules.number(0, 2),
    "vector_loss": rules.one_of(("cosine", "error")),
    "pooling": rules.optional(rules.one_of(tuple(POOLINGS))),
    "doc_stride": rules.integer(0),
    "null_threshold": rules.optional(rules.number(-1e6, 1e6)),
    "class_weights": rules.one_of(("none", "balanced")),
    "eval_share": rules.optional(rules.number(0, 1, below=True)),
    "looks_per_epoch": _not_negative,
    "look_examples": rules.integer(1),
    "best_by": rules.optional(rules.text),
    "patience": rules.integer(0),
    "freeze": frozen_layers,
    "layer_rate_decay": rules.number(1e-6, 1),
    "lora_rank": rules.integer(0, 4096),
    "lora_alpha": rules.integer(1),
    "lora_dropout": rules.number(0, 1, below=True),
    "lora_at": rules.one_of(("attention", "all")),
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What every run has.

    Attributes:
        seed: of the data order, the masks, the dropout and the new weights.
        epochs: passes over the data; ``steps`` goes before it.
        steps: optimiser steps, or None to follow from ``epochs``.
        batch_size: rows of an optimiser step.
        micro_batch_size: rows in memory at once; it changes the memory used and nothing else.
        max_length: in tokens.
        learning_rate: at its highest, after the warm-up; from there it falls linearly to zero.
        new_weights_rate: weights drawn anew (a head that the folder did not have) learn this many times
            as fast as those that were read.
        warmup_share: the share of the steps in which it rises.
        weight_decay: of kernels and embeddings; biases and LayerNorms have none.
        dropout: while training, everywhere; None leaves the rates of the model's configuration.
        adam_betas, adam_eps: of AdamW.
        max_grad_norm: the gradient is scaled down to this norm.
        precision: "bf16" (autocast), "fp32", or "auto": bf16 where the hardware is faster in it.
        checkpoint_every: steps between copies of the model that outlive a failed run.
        compile: let the framework's compiler make one kernel of what stands between two attentions; the same
            losses, to rounding.
    """

    seed: int = 0
    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = 32
    micro_batch_size: int = 32
    max_length: int = 128
    learning_rate: float = 5e-5
    new_weights_rate: float = 1.0
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    adam_betas: tuple[float, float] = (0.9, 0.98)
    adam_eps: float = 1e-6
    dropout: float | None = None
    max_grad_norm: float = 1.0
    precision: str = "auto"
    checkpoint_every: int = 500
    compile: bool = False

    named: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _RULES[field.name](field.name, value))

    def total_steps(self, rows: int) -> int:
        """How many optimiser steps a run over so many rows takes."""
        return self.steps or max(1, round(self.epochs * rows / self.batch_size))

    def with_changes(self, **changes: Any) -> Self:
        """This recipe with the changes that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def as_toml(self) -> str:
        """A file of the fields, which ``read`` reads; those that are None it leaves out."""
        said = {name: value for name, value in self.facts().items() if value is not None}
        # TOML writes flags, numbers, texts and lists of them as JSON does.
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in said.items())

    @classmethod
    def read(cls, name: str | Path) -> Self:
        """A named recipe, or one from a .toml or .json file that holds some of the fields.

        Raises:
            ConfigError: no such name or file, or a field that this recipe does not have.
        """
        if str(name) in cls.named:
            return cls(**cls.named[str(name)])
        return cls(
            **known_fields(read_fields(Path(name), tuple(cls.named)), [field.name for field in fields(cls)])
        )


@dataclass(frozen=True, kw_only=True)
class LanguageModelling(Training):
    """A masked-language-model run: with a teacher a distillation, without one a pretraining.

    Sanh et al. 2019, section 3; ``read("distilbert")`` has the values that its authors trained with,
    and ``read("adapt")`` those for giving a pretrained model a head, or a domain.

    Attributes:
        masked_lm_weight: of the cross-entropy of the hidden words.
        distribution_weight: of the divergence from the teacher's distribution.
        cosine_weight: of one minus the cosine of the last hidden states.
        jensen_shannon_weight: of the divergence of both distributions from their mean.
        logits_error_weight: of the squared differences of logits.
        hidden_weight: of what ``hidden_loss`` says of layers' states, each student's with one of the
            teacher's: their squared "error" or their "cosine".
        hidden_layers: which, as ``layer_map`` has them: "uniform", "last", or pairs.
        relation_weight: of how the last layer's queries, keys and values relate to each other in a text,
            against those of the teacher's ``relation_layer`` (its last one), split into ``relation_heads``
            (the student's own number).
        temperature: of both distributions in those divergences.
        positions: where the teacher's distribution is listened to: at "masked" tokens, at those and a share
            of the others ("masked+10%"), or at "all".
        special_positions: listen to the teacher at [CLS] and [SEP], too, as the published code does.
        held_out: so many sequences are not learnt from; they show how well hidden words are told.
        judge_every: steps between two such looks.
        tokens: to read before the end, instead of ``epochs``.
        freeze_positions: leave the position table as it was copied.
        masking: what is hidden together: a "token", a "word" with all its pieces, or a "span" of words.
        mask_rate: the share of tokens that is hidden; of those, ``mask_share`` behind [MASK] and
            ``keep_share`` behind themselves.
        smoothing: how strongly rare words are hidden more often; 0 is not at all.
        min_length: shorter sequences are left out, in tokens.
    """

    batch_size: int = 32
    micro_batch_size: int = 16
    learning_rate: float = 2e-4
    masked_lm_weight: float = 2.0
    distribution_weight: float = 5.0
    cosine_weight: float = 1.0
    jensen_shannon_weight: float = 0.0
    logits_error_weight: float = 0.0
    hidden_weight: float = 0.0
    hidden_loss: str = "error"
    hidden_layers: str | tuple[tuple[int, int], ...] = "uniform"
    relation_weight: float = 0.0
    relation_heads: int | None = None
    relation_layer: int | None = None
    temperature: float = 2.0
    positions: str = "masked"
    special_positions: bool = False
    freeze_positions: bool = False
    masking: str = "token"
    mask_rate: float = 0.15
    mask_share: float = 0.8
    keep_share: float = 0.1
    smoothing: float = 0.0
    min_length: int = 12
    held_out: int = 200
    judge_every: int = 500
    tokens: int | None = None

    named: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        # A pretrained body moves little while a head that is new to it learns its work.
        "adapt": {"learning_rate": 5e-5, "new_weights_rate": 20.0},
        "distilbert": {
            "learning_rate": 5e-4,
            "batch_size": 250,
            "micro_batch_size": 5,
            "max_length": 512,
            "warmup_share": 0.05,
            "weight_decay": 0.0,
            "max_grad_norm": 5.0,
            "positions": "all",
            "special_positions": True,
            "freeze_positions": True,
            "smoothing": 0.7,
            "seed": 56,
        },
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.shares_of_one(mask_share=self.mask_share, keep_share=self.keep_share)

    def total_steps(self, rows: int, tokens: int = 0) -> int:
        """How many optimiser steps a run over so many sequences, of so many tokens, takes."""
        if self.tokens and not self.steps:
            return max(1, round(self.tokens / max(1, tokens) * rows / self.batch_size))
        return super().total_steps(rows)

    @property
    def positions_beside(self) -> float:
        """The share of tokens that are not hidden at which the teacher's distribution is listened to."""
        found = _BESIDE.fullmatch(self.positions)
        return float(found[1]) / 100 if found else float(self.positions == "all")

    def weights(self, *, taught: bool) -> dict[str, float]:
        """Of each term of the loss; without a teacher there is one term."""
        if not taught:
            return {"masked_lm": 1.0}
        return {
            "masked_lm": self.masked_lm_weight,
            "distribution": self.distribution_weight,
            "jensen_shannon": self.jensen_shannon_weight,
            "logits_error": self.logits_error_weight,
            "cosine": self.cosine_weight,
            "hidden": self.hidden_weight,
            "relation": self.relation_weight,
        }


@dataclass(frozen=True, kw_only=True)
class Finetuning(Training):
    """A fine-tuning run, with a teacher or without.

    Attributes:
        label_weight: of the cross-entropy of the true labels.
        teacher_weight: of the divergence from the teacher's answers, where there is a teacher.
        temperature: of both distributions in that divergence.
        unlabelled_batch_size: unlabelled texts of an optimiser step, beside ``batch_size`` labelled ones.
        pair_loss: of vectors of texts, how those that belong together are learnt: "contrastive" (against all
            others of the step), "cosine" (their score) or "margin" (against one that does not belong);
            "auto" is what the columns say.
        similarity_scale: of cosines, in the contrastive loss.
        margin: by how much the one text is to be nearer than the other, in cosines.
        vector_loss: how far vectors are from a teacher's: one minus their "cosine", or the squared "error".
        pooling: how states become a vector, instead of what the folder says.
        doc_stride: of questions: tokens that neighbouring windows of a context share.
        null_threshold: of questions that may have no answer: none is told where its score is above the best
            answer's by more than this. None fits it to the examples that are judged by; without such it is 0.
        class_weights: "balanced" weighs each label by one over its share of the answers, so that rare ones
            count as much as frequent ones (King and Zeng 2001); "none" counts all answers alike.
        eval_share: of the examples that are judged by and not learnt from, where no others are given; 0 is
            none, None a tenth, where that is twenty or more.
        looks_per_epoch: how often the model is judged by examples that are not learnt from; the weights of
            the best look are kept, the last ones where there are none.
        look_examples: that a look takes of those, always the same; the finished model is judged by all.
        best_by: the metric that decides; None is the first one of the task.
        patience: so many looks without a better one end the run; 0 is never.
        freeze: what does not learn: "none", "embeddings", or a number of layers, with the embeddings.
        layer_rate_decay: each layer learns at this share of the rate of the one above it, down from the head.
        lora_rank: of low-rank adapters beside the layers, which then learn in their place, and are added to
            them on saving (Hu et al. 2021); 0 is without.
        lora_alpha: what they add is multiplied with this over their rank.
        lora_dropout: of what they read.
        lora_at: where they stand: at the projections of the "attention", or at "all" of a layer.
    """

    unlabelled_batch_size: int = 32
    label_weight: float = 1.0
    teacher_weight: float = 1.0
    temperature: float = 2.0
    pair_loss: str = "auto"
    similarity_scale: float = 20.0
    margin: float = 0.2
    vector_loss: str = "cosine"
    pooling: str | None = None
    doc_stride: int = 128
    null_threshold: float | None = None
    class_weights: str = "none"
    eval_share: float | None = None
    looks_per_epoch: float = 2.0
    look_examples: int = 1000
    best_by: str | None = None
    patience: int = 3
    freeze: str = "none"
    layer_rate_decay: float = 1.0
    lora_rank: int = 0
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_at: str = "all"
