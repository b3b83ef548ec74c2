"""What every configuration has besides its sizes: defaults, rules, and what is so where nothing is said."""

from typing import Any

from distilbert.core import rules
from distilbert.core.rules import Rule

_TWO_LABELS = {0: "LABEL_0", 1: "LABEL_1"}

#: What every configuration has besides its sizes; written only where it differs from these defaults.
SHARED_DEFAULTS: dict[str, Any] = {
    "architectures": None,
    "attn_implementation": "sdpa",
    "dtype": None,
    "id2label": _TWO_LABELS,
    "label2id": {name: i for i, name in _TWO_LABELS.items()},
    "output_attentions": False,
    "output_hidden_states": False,
    "problem_type": None,
    "pruned_heads": {},
    "return_dict": True,
    "tie_word_embeddings": True,
    "torchscript": False,
}

#: What is so where nothing else was said: facts of every encoder, and what only a file can tell. Neither
#: attributes of the class nor written: a ``config.json`` that has one of these names has a field of it.
UNLESS_SAID: dict[str, Any] = {
    "_commit_hash": None,
    "add_cross_attention": False,
    "bos_token_id": None,
    "chunk_size_feed_forward": 0,
    "eos_token_id": None,
    "finetuning_task": None,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "sep_token_id": None,
    "task_specific_params": None,
    "tokenizer_class": None,
    "transformers_version": None,
}

SHARED_RULES: dict[str, Rule] = {
    "dtype": rules.optional(rules.dtype_name),
    "id2label": rules.label_names,
    "label2id": rules.label_ids,
    "output_attentions": rules.flag,
    "output_hidden_states": rules.flag,
    "architectures": rules.optional(rules.names),
    "problem_type": rules.optional(rules.one_of(rules.PROBLEM_TYPES)),
    "pruned_heads": rules.heads_by_layer,
    "return_dict": rules.flag,
    "tie_word_embeddings": rules.flag,
    "torchscript": rules.flag,
}
