"""Every public name and argument of the peer's model classes is here, or in the document."""

import dataclasses
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import surface
import torch
from models import CONFIGS, batch, scatter
from peer import ATOL, largest_difference, peer_of, transformers
from surface import listed, missing, parameters, public
from torch import nn

import distilbert
from distilbert.errors import CheckpointError, ConfigError

#: What is not here; the document has the reasons.
ABSENT = listed("Names of models that are not here")
WITHOUT = listed("Arguments of models that are not here")

#: Parameters whose default is another one; the document says which.
OTHER_DEFAULTS = {"max_shard_size", "save_function"}

#: Parameters that a catch-all takes here; a test calls with each.
BY_CATCH_ALL = {"weights_only"}

NAMES = [
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertForMultipleChoice",
    "DistilBertForTokenClassification",
    "DistilBertForQuestionAnswering",
]
OF_MODULES = set(dir(nn.Module()))
#: Of what ``nn.Module`` has too, these are each class's own.
OWN = ("forward", "__init__")
CONFIG = CONFIGS["usual"]

each_name = pytest.mark.parametrize("name", NAMES)


def ours_of(name: str, **changes: Any) -> Any:
    config = distilbert.DistilBertConfig.from_dict(CONFIG.to_dict(), **changes)
    return scatter(getattr(distilbert, name)(config))


def peers_of(name: str) -> Any:
    config = transformers.DistilBertConfig.from_dict(CONFIG.to_dict())
    return getattr(transformers, name)(config).eval()


def outputs_of(name: str) -> tuple[Any, Any]:
    shape = (2, 3, 4) if "Choice" in name else (2, 4)
    ids = torch.ones(shape, dtype=torch.long)
    with torch.no_grad():
        return ours_of(name)(ids), peers_of(name)(ids)


def lacking(ours: Any, theirs: Any) -> set[str]:
    return missing(ours, theirs) - OF_MODULES


def differences(ours: type, theirs: type) -> list[str]:
    names = [*sorted((public(ours) & public(theirs)) - OF_MODULES), *OWN]
    return surface.differences(
        ours, theirs, names, without=WITHOUT, other_defaults=OTHER_DEFAULTS, by_catch_all=BY_CATCH_ALL
    )


@each_name
def test_every_name_is_here_or_stands_in_the_document(name: str) -> None:
    assert lacking(ours_of(name), peers_of(name)) <= ABSENT
    assert missing(*outputs_of(name)) <= ABSENT


def test_nothing_stands_in_the_document_that_is_here() -> None:
    absent = [lacking(ours_of(name), peers_of(name)) | missing(*outputs_of(name)) for name in NAMES]
    assert set().union(*absent) == ABSENT
    taken, here = set(), set()
    for name in NAMES:
        for method in {*(public(getattr(transformers, name)) - OF_MODULES - ABSENT), *OWN}:
            taken |= set(parameters(getattr(transformers, name), method) or ())
            here |= set(parameters(getattr(distilbert, name), method) or ())
    assert taken >= WITHOUT
    assert not here & WITHOUT


@each_name
def test_methods_take_the_peers_arguments_in_the_peers_order(name: str) -> None:
    assert differences(getattr(distilbert, name), getattr(transformers, name)) == []


@each_name
def test_forward_has_the_published_order_and_then_ours(name: str) -> None:
    mine, peers = (parameters(getattr(library, name), "forward") for library in (distilbert, transformers))
    assert mine is not None
    assert peers is not None
    assert list(mine) == [*peers, "position_ids", "token_type_ids"]
    assert all(p.default is None for p in mine.values())


@each_name
def test_outputs_have_the_peers_fields_in_the_peers_order(name: str) -> None:
    ours, theirs = outputs_of(name)
    assert type(ours).__name__ == type(theirs).__name__
    assert list(ours.fields) == [field.name for field in dataclasses.fields(theirs)]
    assert list(ours.keys()) == list(theirs.keys())
    assert ours.attentions is theirs.attentions is None


def test_what_is_gone_or_swapped_is_noticed() -> None:
    class Gone(distilbert.DistilBertForSequenceClassification):
        @property
        def num_labels(self) -> Any:
            raise AttributeError

    class Swapped(distilbert.DistilBertForMaskedLM):
        def forward(self, input_ids=None, head_mask=None, attention_mask=None, *, inputs_embeds=None):
            return None

        def num_parameters(self, only_trainable: bool = True, exclude_embeddings: bool = False) -> int:
            return 0

        def save_pretrained(self, save_directory, is_main_process=True, **saving):
            return None

        can_generate = None

    peer = transformers.DistilBertForSequenceClassification
    assert lacking(Gone(CONFIG), peers_of(peer.__name__)) - ABSENT == {"num_labels"}
    found = differences(Swapped, transformers.DistilBertForMaskedLM)
    for difference in (
        "forward: head_mask is not argument 3",
        "forward: inputs_embeds is not argument 4",
        "forward: no labels",
        "num_parameters: only_trainable=True, the peer's False",
        "save_pretrained: no variant",
        "can_generate",
    ):
        assert difference in found


@each_name
def test_what_libraries_ask_is_answered_as_the_peer_does(name: str) -> None:
    ours = ours_of(name)
    theirs = peer_of(ours)
    for question in (
        "main_input_name", "framework", "supports_gradient_checkpointing", "is_parallelizable",
        "base_model_prefix", "is_gradient_checkpointing", "warnings_issued", "device", "dtype",
    ):  # fmt: skip
        assert getattr(ours, question) == getattr(theirs, question), question
    assert ours.can_generate() is theirs.can_generate() is False
    assert hasattr(ours, "num_labels") >= hasattr(theirs, "num_labels")
    assert getattr(theirs, "num_labels", 2) == ours.num_labels
    for how in ({}, {"only_trainable": True}, {"exclude_embeddings": True}):
        assert ours.num_parameters(**how) == theirs.num_parameters(**how)
    batches = [ours.dummy_inputs, {"input_ids": torch.ones(2, 3, 4)}]
    assert torch.equal(ours.dummy_inputs["input_ids"], theirs.dummy_inputs["input_ids"])
    for given in batches:
        assert ours.estimate_tokens(given) == theirs.estimate_tokens(given)
        assert ours.floating_point_ops(given) == theirs.floating_point_ops(given)
        assert ours.floating_point_ops(given, False) == theirs.floating_point_ops(given, False)
    # The peer keeps the numbers of positions beside the weights.
    assert ours.get_memory_footprint() == theirs.get_memory_footprint(return_buffers=False)
    key = next(key for key, _ in theirs.named_parameters())
    assert torch.equal(ours.get_parameter_or_buffer(key), theirs.get_parameter_or_buffer(key))
    ours.register_buffer("mine", torch.ones(3))
    assert ours.get_parameter_or_buffer("mine").sum() == 3
    assert ours.get_memory_footprint() - ours.get_memory_footprint(False) == 12
    with pytest.raises(AttributeError, match="nobody"):
        ours.get_parameter_or_buffer("nobodys")
    assert type(ours.get_input_embeddings()) is type(theirs.get_input_embeddings())
    assert (ours.get_output_embeddings() is None) == (theirs.get_output_embeddings() is None)


def test_a_batch_without_ids_counts_no_tokens_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    model = ours_of("DistilBertModel")
    with caplog.at_level(logging.WARNING):
        assert [model.floating_point_ops({"inputs_embeds": torch.ones(1, 2, 32)}) for _ in range(2)] == [0, 0]
    assert len(caplog.records) == 1
    assert "input_ids" in caplog.text
    assert model.estimate_tokens({"input_ids": distilbert.pack([[1, 2], [3]])}) == 3


def test_tables_are_exchanged_as_the_peers_are() -> None:
    for name in NAMES:
        model = ours_of(name)
        table = nn.Embedding(CONFIG.vocab_size, CONFIG.dim)
        model.set_input_embeddings(table)
        assert model.get_input_embeddings() is table
        if "MaskedLM" in name:
            assert model.vocab_projector.weight is table.weight
            projector = nn.Linear(CONFIG.dim, CONFIG.vocab_size)
            model.set_output_embeddings(projector)
            assert model.get_output_embeddings() is projector
        else:
            with pytest.raises(ConfigError, match="projection onto the vocabulary"):
                model.set_output_embeddings(nn.Linear(2, 2))


def test_gradients_reach_the_words_of_a_frozen_table() -> None:
    model = ours_of("DistilBertModel")
    model.requires_grad_(False)
    ids, mask = batch(CONFIG)
    assert not model(ids, mask).last_hidden_state.requires_grad
    model.enable_input_require_grads()
    model.enable_input_require_grads()  # asked twice, undone once
    assert model(ids, mask).last_hidden_state.requires_grad
    model.disable_input_require_grads()
    model.disable_input_require_grads()
    assert not model(ids, mask).last_hidden_state.requires_grad


def saved(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(*batch(CONFIG)).logits


@pytest.mark.parametrize("shards", ["5GB", "10KB"])
def test_a_variant_is_saved_as_the_peer_saves_it(shards: str, tmp_path: Path) -> None:
    ours = ours_of("DistilBertForTokenClassification")
    theirs = peer_of(ours)
    ours.save_pretrained(tmp_path / "ours", max_shard_size=shards, variant="fp16")
    theirs.save_pretrained(tmp_path / "peer", max_shard_size=shards, variant="fp16")
    index = {name for name in saved(tmp_path / "peer") if "index" in name}
    assert {name for name in saved(tmp_path / "ours") if "index" in name} == index
    assert bool(index) == (shards == "10KB")
    assert all(".fp16" in name for name in saved(tmp_path / "ours") - {"config.json"})
    again = type(theirs).from_pretrained(tmp_path / "ours", variant="fp16")
    assert (
        largest_difference(
            logits(ours), logits(type(ours).from_pretrained(tmp_path / "peer", variant="fp16"))
        )
        == 0
    )
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    # A variant stands beside the plain file, and takes none of its places.
    ours.save_pretrained(tmp_path / "ours")
    assert {"model.safetensors", *index} <= saved(tmp_path / "ours")
    assert largest_difference(logits(ours), logits(type(ours).from_pretrained(tmp_path / "ours"))) == 0


def test_the_launchers_keywords_do_what_they_say(tmp_path: Path) -> None:
    model, other = ours_of("DistilBertForMaskedLM"), ours_of("DistilBertForMaskedLM")
    with torch.no_grad():
        other.vocab_transform.weight.mul_(2)
    model.save_pretrained(tmp_path / "no", is_main_process=False, save_function=torch.save)
    assert not saved(tmp_path / "no")
    model.save_pretrained(
        tmp_path / "yes", True, other.state_dict(), save_function=torch.save, save_peft_format=False
    )
    assert largest_difference(logits(other), logits(type(model).from_pretrained(tmp_path / "yes"))) == 0
    half = {name: tensor.half() for name, tensor in peer_of(other).state_dict().items()}
    model.save_pretrained(tmp_path / "half", state_dict=half)
    assert type(model).from_pretrained(tmp_path / "half", dtype="auto").dtype == torch.float16
    assert model.dtype == torch.float32
    part = {name: tensor for name, tensor in other.state_dict().items() if name.startswith("distilbert.")}
    model.save_pretrained(tmp_path / "part", state_dict=part)
    _, report = type(model).from_pretrained(tmp_path / "part", output_loading_info=True)
    assert set(report.loaded) == set(part)
    for state, message in (
        ({"nobodys": torch.ones(2)}, "Received: nobodys"),
        ({}, "Received: none"),
        ({"vocab_transform.bias": torch.ones(2)}, r"vocab_transform\.bias is \[2\]"),
    ):
        with pytest.raises(CheckpointError, match=message):
            model.save_pretrained(tmp_path / "wrong", state_dict=state)
    assert not saved(tmp_path / "wrong")
    with pytest.raises(ConfigError, match="push_to_hub=True"):
        model.save_pretrained(tmp_path / "wrong", token="hf_x")


def test_what_the_catch_alls_take(tmp_path: Path) -> None:
    model = ours_of("DistilBertForMaskedLM")
    model.save_pretrained(tmp_path)
    for name in BY_CATCH_ALL:
        again = type(model).from_pretrained(tmp_path, **{name: True})
        assert largest_difference(logits(model), logits(again)) <= ATOL
        assert again.name_or_path == str(tmp_path)
        with pytest.raises(ConfigError, match="no_such"):
            type(model).from_pretrained(tmp_path, no_such=1)
    assert model.name_or_path == ""


CALLS: list[tuple[str, Callable[[Any, torch.Tensor, torch.Tensor], Any]]] = [
    ("DistilBertModel", lambda m, x, mask: m(x, mask, torch.ones(4), None, True, True, False)),
    ("DistilBertForMaskedLM", lambda m, x, mask: m(x, mask, None, None, x, False, True, False)),
    ("DistilBertForQuestionAnswering", lambda m, x, mask: m(x, mask, None, None, x[:, 0] % 12, x[:, 1] % 12)),
]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_arguments_by_place_mean_the_same(name: str, call: Callable[..., Any]) -> None:
    ours = ours_of(name, attn_implementation="eager")
    ids, _ = batch(CONFIG)
    mine, theirs = (call(model, ids, torch.ones_like(ids)) for model in (ours, peer_of(ours)))
    for one, other in zip(
        *(
            torch.utils._pytree.tree_leaves(tuple(x.values()) if hasattr(x, "keys") else x)
            for x in (mine, theirs)
        ),
        strict=True,
    ):
        assert largest_difference(one, other) <= ATOL


def test_a_constructor_takes_a_configuration_by_name() -> None:
    for name in NAMES:
        assert getattr(distilbert, name)(config=CONFIG).config == CONFIG
        assert list(inspect.signature(getattr(distilbert, name)).parameters) == ["config"]
