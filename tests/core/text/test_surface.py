"""Every public name of the peer's tokenizers, batches and configuration is here, or has its reason below."""

import inspect
from typing import Any

import pytest
import transformers

from distilbert import BatchEncoding, DistilBertConfig, DistilBertTokenizer, DistilBertTokenizerFast

CHAT = "an encoder holds no conversation"
SEQUENCES = "there is no sequence-to-sequence model here"
REMOTE = "no code is loaded by name from a folder"
PARTS = "a DistilBERT is not made of several models"
PARALLEL = "a plan for tensor parallelism, of which a model this small has no need"

#: Names that are not here, and why; docs/migrating.md has the same list.
ABSENT = {
    "apply_chat_template": CHAT,
    "encode_message_with_chat_template": CHAT,
    "get_chat_template": CHAT,
    "save_chat_templates": CHAT,
    "as_target_tokenizer": SEQUENCES,
    "prepare_seq2seq_batch": SEQUENCES,
    "register_for_auto_class": REMOTE,
    "convert_added_tokens": "an inner step of the peer's reading of files",
    "prepare_for_tokenization": "a hook for other models' tokenizers, which does nothing in DistilBERT's",
    "pretrained_vocab_files_map": "a table of addresses, empty in the peer too",
    "set_truncation_and_padding": "truncation and padding belong to a call and leave nothing behind",
    "base_model_ep_plan": PARALLEL,
    "base_model_pp_plan": PARALLEL,
    "base_model_tp_plan": PARALLEL,
    "base_config_key": PARTS,
    "sub_configs": PARTS,
    "from_text_audio_configs": PARTS,
    "from_text_vision_configs": PARTS,
    "get_text_config": PARTS,
    "has_no_defaults_at_init": PARTS,
    "dict_dtype_to_str": "an inner step of the peer's writing of files",
    "name_or_path": "a configuration does not remember where it came from",
}

#: Parameters that the peer's methods have and ours do not, and why.
WITHOUT = {
    "text_target": SEQUENCES,
    "text_pair_target": SEQUENCES,
    "kwargs": "a keyword that nothing takes is a typing error, and is said to be one",
    "init_inputs": REMOTE,
    "trust_remote_code": REMOTE,
    "split_special_tokens": "it is the constructor's",
    "return_unused_kwargs": "an unknown keyword becomes a field",
    "use_diff": "what is published is written, always",
    "return_offsets_mapping": "of prepare_for_model: ids do not say where they came from",
    "is_split_into_words": "texts have a form of their own",
}

PAIRS = [
    (DistilBertTokenizer, transformers.DistilBertTokenizer),
    (DistilBertTokenizerFast, transformers.DistilBertTokenizerFast),
    (BatchEncoding, transformers.BatchEncoding),
    (DistilBertConfig, transformers.DistilBertConfig),
]


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__module__.split(".")[0])
def test_every_name_is_here_or_has_a_reason(ours: type, theirs: type) -> None:
    for name in sorted(public(theirs)):
        if name in {"n_sequences", "output_attentions"}:
            continue  # set in the constructor here, which the tests of batches and configurations show
        assert hasattr(ours, name) != (name in ABSENT), name


def test_no_reason_is_given_for_nothing() -> None:
    names = set().union(*(public(theirs) for _, theirs in PAIRS))
    assert set(ABSENT) <= names


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__module__.split(".")[0])
def test_methods_take_the_peers_arguments(ours: type, theirs: type) -> None:
    for name in [*sorted(public(ours) & public(theirs)), "__call__", "__init__"]:
        mine, peers = parameters(ours, name), parameters(theirs, name)
        if peers is None or mine is None or "options" in mine:
            continue
        takes_any = any(p.kind is p.VAR_KEYWORD for p in mine.values())
        for parameter in peers:
            assert parameter in mine or parameter in WITHOUT or takes_any, f"{name}({parameter})"


def parameters(kind: type, name: str) -> Any:
    method = getattr(kind, name, None)
    if not inspect.isroutine(method) or method is getattr(object, name, None):
        return None
    found = inspect.signature(method).parameters
    return {key: value for key, value in found.items() if key != "self"}


def test_the_reasons_stand_in_the_document() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[3] / "docs" / "migrating.md").read_text()
    for name in ABSENT:
        assert f"`{name}`" in text, name
