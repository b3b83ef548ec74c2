"""Every public name of the peer's tokenizers, batches and configuration is here, or in the document."""

import re
from pathlib import Path
from typing import Any

import pytest
import surface
import transformers
from surface import DOCUMENT, listed, missing, parameters, public

from distilbert import BatchEncoding, DistilBertConfig, DistilBertTokenizer, DistilBertTokenizerFast
from distilbert.errors import ConfigError

#: What is not here; the document has the reasons.
ABSENT = listed("Names that are not here")
WITHOUT = listed("Arguments that are not here")

#: Parameters whose default is another one; the document says which.
OTHER_DEFAULTS = {
    "do_lower_case",
    "do_basic_tokenize",
    "tokenize_chinese_chars",
    "max_shard_size",
    "vocab_file",
}

#: Parameters that a catch-all takes here; a test calls with each.
BY_CATCH_ALL = {"trust_remote_code"}

PAIRS = [
    (DistilBertTokenizer, transformers.DistilBertTokenizer),
    (DistilBertTokenizerFast, transformers.DistilBertTokenizerFast),
    (BatchEncoding, transformers.BatchEncoding),
    (DistilBertConfig, transformers.DistilBertConfig),
]
each_pair = pytest.mark.parametrize(
    ("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__ if kind.__module__[0] == "d" else "peer"
)
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##c"]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(TOKENS) + "\n")
    return str(path)


def made(kind: type, vocabulary: str) -> Any:
    """An instance, with all that its constructor sets."""
    if "Tokenizer" in kind.__name__:
        return kind(vocabulary)
    return kind({"input_ids": [[2, 5, 3]]}) if "Batch" in kind.__name__ else kind()


def differences(ours: type, theirs: type) -> list[str]:
    names = [*sorted(public(ours) & public(theirs)), "__call__", "__init__"]
    return surface.differences(
        ours, theirs, names, without=WITHOUT, other_defaults=OTHER_DEFAULTS, by_catch_all=BY_CATCH_ALL
    )


@each_pair
def test_every_name_is_here_or_stands_in_the_document(ours: type, theirs: type, vocabulary: str) -> None:
    assert missing(made(ours, vocabulary), made(theirs, vocabulary)) <= ABSENT


def test_nothing_stands_in_the_document_that_is_here(vocabulary: str) -> None:
    lacking = [missing(made(ours, vocabulary), made(theirs, vocabulary)) for ours, theirs in PAIRS]
    assert set().union(*lacking) == ABSENT
    taken = {
        key
        for _, theirs in PAIRS
        for name in [*public(theirs), "__call__", "__init__"]
        for key in parameters(theirs, name) or ()
    }
    assert taken >= WITHOUT


@each_pair
def test_methods_take_the_peers_arguments_in_the_peers_order(ours: type, theirs: type) -> None:
    assert differences(ours, theirs) == []


def test_what_is_gone_or_swapped_is_noticed(vocabulary: str) -> None:
    class Gone(DistilBertTokenizer):
        @property
        def ids_to_tokens(self) -> Any:
            raise AttributeError

    class Swapped(DistilBertTokenizer):
        def encode(self, text: Any, add_special_tokens: bool = True, text_pair: Any = None, **options: Any):
            return []

        def pad(self, encoded_inputs: Any, *, padding: Any = True, **options: Any):
            return {}

        def decode(self, token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=None):
            return ""

    class Less(DistilBertConfig):
        def __getattr__(self, name: str) -> Any:
            if name == "is_decoder":
                raise AttributeError
            return super().__getattr__(name)

    peer = transformers.DistilBertTokenizer
    assert missing(Gone(vocabulary), peer(vocabulary)) - ABSENT == {"ids_to_tokens"}
    assert missing(Less(), transformers.DistilBertConfig()) - ABSENT == {"is_decoder"}
    found = "\n".join(differences(Swapped, peer))
    for difference in (
        "encode: text_pair is not argument 2",
        "encode: no padding",
        "pad: padding is not argument 2",
        "decode: skip_special_tokens=True, the peer's False",
    ):
        assert difference in found


@pytest.mark.parametrize("name", ["DistilBertTokenizer", "DistilBertTokenizerFast"])
def test_arguments_by_place_mean_the_same(name: str, vocabulary: str) -> None:
    ours, peers = (made(kind, vocabulary) for kind in next(p for p in PAIRS if p[0].__name__ == name))
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("encode", ("a", "b", False)),
        ("encode", ("a ac", "b", True, "max_length", True, 6, 0, "left")),
        ("__call__", ("a", "b", None, None, False)),
        ("encode_plus", ("a", "b", True, "max_length", True, 8, 0, False, 4, "left", None, True, True)),
        ("batch_encode_plus", (["a", "b ac"], False, True, "only_first", 5)),
        ("prepare_for_model", ([5, 6], [5], True, "max_length", True, 8)),
        ("pad", ({"input_ids": [[5], [5, 6]]}, True, None, 4, "left")),
        ("truncate_sequences", ([5, 6, 7], [5, 6], 2, "only_first", 1)),
        ("tokenize", ("a bc",)),
        ("decode", ([2, 5, 7, 3], True, False)),
        ("batch_decode", ([[2, 5, 7, 3]], True, False)),
        ("convert_ids_to_tokens", ([2, 5], True)),
        ("get_special_tokens_mask", ([2, 5, 3], None, True)),
    ]
    for method, arguments in calls:
        mine, theirs = getattr(ours, method)(*arguments), getattr(peers, method)(*arguments)
        assert (dict(mine) if hasattr(mine, "keys") else mine) == (
            dict(theirs) if hasattr(theirs, "keys") else theirs
        ), method


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
def test_further_options_are_a_calls_and_no_others(kind: type, vocabulary: str) -> None:
    tokenizer = kind(vocabulary)
    every = parameters(kind, "__call__") or {}
    for method in ("encode", "tokenize"):
        named = parameters(kind, method) or {}
        for name in every.keys() - named.keys() - {"text_pair", "verbose"}:
            assert getattr(tokenizer, method)("a", **{name: every[name].default})
        with pytest.raises(TypeError, match="no_such"):
            getattr(tokenizer, method)("a", no_such=1)
    with pytest.raises(ConfigError, match="Targets"):
        tokenizer("a", "b", "a")
    with pytest.raises(ConfigError, match="which of its characters"):
        tokenizer.prepare_for_model([5], return_offsets_mapping=True)


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
def test_what_the_constructors_catch_alls_take(kind: type, vocabulary: str) -> None:
    peer = next(theirs for ours, theirs in PAIRS if ours is kind)
    taken = {
        "model_max_length": 9, "padding_side": "left", "truncation_side": "left", "bos_token": "a",
        "eos_token": "b", "model_input_names": ["input_ids"], "clean_up_tokenization_spaces": False,
        "split_special_tokens": True, "additional_special_tokens": ["<x>"],
    }  # fmt: skip
    mine, theirs = kind(vocabulary, **taken), peer(vocabulary, **taken)
    for name in taken:
        assert getattr(mine, name) == getattr(theirs, name), name
    sentence = re.search(r"The constructors of tokenizers take no ([^.]*)\.", DOCUMENT)[1]
    refused = re.findall(r"`(\w+)`", sentence)
    assert len(refused) == 8
    for name in refused:
        with pytest.raises(TypeError, match=name):
            kind(vocabulary, **{name: None})
    for name in BY_CATCH_ALL:
        assert kind.from_pretrained(vocabulary, **{name: True}).init_kwargs == kind(vocabulary).init_kwargs


def test_leave_to_run_code_is_no_field(tmp_path: Path) -> None:
    DistilBertConfig().save_pretrained(tmp_path)
    assert DistilBertConfig.from_pretrained(tmp_path, trust_remote_code=True) == DistilBertConfig()


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
def test_names_of_the_peers_mean_what_they_do_there(kind: type, vocabulary: str) -> None:
    tokenizer = kind(
        vocabulary, do_lower_case=False, do_basic_tokenize=False, additional_special_tokens=["<x>"]
    )
    peer = transformers.DistilBertTokenizer(vocabulary, additional_special_tokens=["<x>"])
    assert tokenizer.ids_to_tokens == dict(peer.ids_to_tokens) == dict(enumerate(TOKENS))
    assert tokenizer.total_vocab_size == peer.total_vocab_size == 9
    assert tokenizer.do_basic_tokenize is False
    again = kind(vocabulary, **tokenizer.init_kwargs)
    assert again.init_kwargs == tokenizer.init_kwargs
    assert again("A ac <x>") == tokenizer("A ac <x>")
    assert again.get_vocab() == tokenizer.get_vocab()


def test_facts_of_a_configuration_are_no_fields() -> None:
    config, peer = DistilBertConfig(), transformers.DistilBertConfig()
    facts = (public(peer) - public(config)) - ABSENT
    assert {"is_decoder", "is_encoder_decoder", "eos_token_id", "torchscript"} <= facts
    for name in facts - set(config.aliases):
        assert getattr(config, name) == getattr(peer, name), name
        assert name not in config.to_dict()
        assert not config.has_field(name)
        with pytest.raises(ConfigError, match="name=value"):
            config.update_from_string(f"{name}=1")
    said = DistilBertConfig.from_dict(
        {"is_decoder": False, "finetuning_task": "sst-2", "pruned_heads": {}, "max_length": 20}
    )
    assert (said.finetuning_task, said.max_length) == ("sst-2", 20)
    assert said.to_dict()["is_decoder"] is False
    assert said != config
    assert said == DistilBertConfig.from_dict(config_dict=said.to_dict())
