"""Names and folders: what is fetched from a hub, what is kept, what is said when it does not come.

The hub is one of ours on loopback; nothing here leaves the machine.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback_hub import Hub, clients_hub, go_online, point_to

from distilbert import DistilBertConfig, DistilBertTokenizer, DistilBertTokenizerFast, shrink, trim
from distilbert.core.config import BertConfig
from distilbert.core.hub import MODEL, Part, hub_keywords, local_folder
from distilbert.core.hub_errors import reason
from distilbert.core.hub_files import weights_file, with_variant
from distilbert.core.parameters import Head, manifest
from distilbert.core.publishing import Publishable
from distilbert.core.weight_files import write_arrays
from distilbert.errors import CheckpointError, ConfigError, DistilBertError, HubError, OutputError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "ball", "team", "##s"]
VOCABULARY = "\n".join(WORDS).encode() + b"\n"
CONFIG = DistilBertConfig(
    vocab_size=len(WORDS), max_position_embeddings=8, n_layers=2, n_heads=2, dim=4, hidden_dim=8
)
SMALL = {
    "config.json": CONFIG.to_json_string().encode(),
    "vocab.txt": VOCABULARY,
    "tokenizer_config.json": b'{"do_lower_case": true, "model_max_length": 8}',
}
#: What no reader of models asks for.
OTHERS = {
    "README.md": b"words",
    "onnx/model.onnx": b"graph",
    "coreml/model.bin": b"graph",
    "rust_model.ot": b"graph",
    "training_args.bin": b"pickle",
    ".gitattributes": b"",
}


def whole(**more: bytes) -> dict[str, bytes]:
    return {**SMALL, **OTHERS, "model.safetensors": b"numbers", "pytorch_model.bin": b"older numbers", **more}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on loopback that the client takes for its own, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    with clients_hub(tmp_path / "cache", monkeypatch) as hub:
        yield hub


def dead_address() -> str:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# What is a folder, and what is a name


def test_a_folder_is_itself_and_the_client_is_not_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from distilbert import DistilBertConfig, DistilBertTokenizerFast\n"
        "from distilbert.core.hub import local_folder\n"
        f"print(local_folder({str(tmp_path)!r}, subfolder='sub', revision='x'))\n"
        f"DistilBertConfig().save_pretrained({str(tmp_path)!r})\n"
        f"DistilBertConfig.from_pretrained({str(tmp_path)!r})\n"
        "print('huggingface_hub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "sub"), "False"]


@pytest.mark.parametrize(
    "name",
    ["", "./here", "../x", "a/b/c", "/a", "a/", "a//b", "a..b", "a--b", "-a", "a.", "a b", "ä", "x.git",
     "a" * 97, "C:\\models", "a\0b", "owner/../x", "a\nb"],
)  # fmt: skip
def test_what_is_neither_is_refused_without_asking_anybody(name: str, hub: Hub) -> None:
    with pytest.raises(HubError, match="by its folder, or by its name on a hub") as caught:
        local_folder(name)
    assert isinstance(caught.value, CheckpointError)
    assert not hub.log


def test_a_folder_goes_before_a_name(hub: Hub, tmp_path: Path) -> None:
    hub.add("owner/name", whole())
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert local_folder("owner/name") == Path("owner/name")
    assert not hub.log


@pytest.mark.parametrize("argument", ["subfolder", "revision"])
@pytest.mark.parametrize("value", ["../x", "/etc", "a/../../b", "C:\\x", "..\\x"])
def test_nothing_leads_out_of_the_repository(argument: str, value: str, hub: Hub) -> None:
    with pytest.raises(ConfigError, match=f"{argument} must stay inside the repository"):
        local_folder("name", **{argument: value})
    assert not hub.log


# What is fetched


@pytest.mark.parametrize("name", ["short-name", "owner/name_1.0"])
def test_only_what_is_read_is_fetched(name: str, hub: Hub) -> None:
    sha = hub.add(name, whole(**{"distilbert.json": b"{}", "tokenizer.json": b"{ }"}))
    folder = local_folder(name)
    wanted = {*SMALL, "model.safetensors", "distilbert.json", "tokenizer.json"}
    assert folder.name == sha
    assert names(folder) == set(hub.fetched) == wanted
    assert (folder / "model.safetensors").read_bytes() == b"numbers"
    asked = len(hub.log)
    assert local_folder(name) == folder
    assert [path for _, path in hub.log[asked:]] == [f"/api/models/{name}/revision/main"]


def test_parts_are_fetched_alone(hub: Hub) -> None:
    hub.add("name", whole())
    local_folder("name", wanted={Part.CONFIG})
    assert hub.fetched == ["config.json"]
    local_folder("name", wanted=["tokenizer"])
    assert hub.fetched == sorted(SMALL)
    local_folder("name", wanted={"config", "weights"})
    assert hub.fetched == sorted([*SMALL, "model.safetensors"])


def test_a_revision_is_a_branch_or_a_commit(hub: Hub) -> None:
    first = hub.add("name", whole())
    second = hub.add("name", {"model.safetensors": b"newer"})
    other = hub.add("name", whole(**{"model.safetensors": b"of a branch"}), branch="feature/x")

    def read(**where: str) -> bytes:
        return (local_folder("name", **where) / "model.safetensors").read_bytes()

    assert read() == read(revision="main") == read(revision=second) == b"newer"
    assert read(revision=first) == b"numbers"
    assert read(revision="feature/x") == read(revision=other) == b"of a branch"
    hub.add("name", {"model.safetensors": b"newest"})
    assert read() == b"newest", "a branch that moves is followed"
    with pytest.raises(HubError, match="a branch, a tag or a commit") as caught:
        local_folder("name", revision="nowhere")
    assert "name at revision nowhere" in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("subfolder", 5), ("revision", 1), ("revision", b"main"), ("name", 5), ("name", b"a")],
)
def test_what_is_no_text_is_refused(argument: str, value: Any, hub: Hub) -> None:
    arguments = {"name": "short", argument: value}
    with pytest.raises(ConfigError, match="text"):
        local_folder(arguments.pop("name"), **arguments)
    assert not hub.log


@pytest.mark.parametrize("spelled", ["sub/dir", "./sub/dir", "sub//dir", "sub/dir/", "sub/./dir"])
def test_one_subfolder_in_several_spellings(spelled: str, hub: Hub, tmp_path: Path) -> None:
    hub.add("me/deep", {f"sub/dir/{name}": content for name, content in whole().items()})
    assert (local_folder("me/deep", subfolder=spelled, wanted={Part.CONFIG}) / "config.json").exists()
    assert local_folder(tmp_path, subfolder=spelled) == tmp_path / "sub" / "dir"
    assert local_folder(tmp_path, subfolder=None) == tmp_path


def test_a_subfolder(hub: Hub) -> None:
    inside = {f"small/{name}": content for name, content in whole().items()}
    hub.add("name", {"config.json": b"{}", "model.safetensors": b"another", **inside})
    folder = local_folder("name", subfolder="small")
    assert (folder.name, names(folder)) == ("small", {*SMALL, "model.safetensors"})
    assert all(name.startswith("small/") for name in hub.fetched)
    assert DistilBertConfig.from_pretrained("name", subfolder="small").n_layers == 2
    assert local_folder("name", subfolder="small/", local_files_only=True) == folder
    with pytest.raises(HubError, match="subfolder large .*holding nothing"):
        local_folder("name", subfolder="large")


INDEX = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
SHARDS = {
    "model.safetensors.index.json": json.dumps(INDEX).encode(),
    "model-00001-of-00002.safetensors": b"1",
    "model-00002-of-00002.safetensors": b"2",
    "model-00001-of-00003.safetensors": b"of an earlier save",
}
BIN_SHARDS = {
    "pytorch_model.bin.index.json": b'{"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}',
    "pytorch_model-00001-of-00001.bin": b"1",
}
FP16 = {
    "model.safetensors.index.fp16.json": b'{"weight_map": {"a": "model.fp16-00001-of-00001.safetensors"}}',
    "model.fp16-00001-of-00001.safetensors": b"1",
}
OLD = {"tf_model.h5": b"h", "flax_model.msgpack": b"f"}


@pytest.mark.parametrize(
    ("files", "choice", "fetched"),
    [
        ({"model.safetensors": b"s", **SHARDS, "pytorch_model.bin": b"p", **OLD}, {}, ["model.safetensors"]),
        (
            {**SHARDS, "pytorch_model.bin": b"p"},
            {},
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
             "model.safetensors.index.json"],
        ),
        ({"pytorch_model.bin": b"p", **OLD}, {}, ["pytorch_model.bin"]),
        (BIN_SHARDS, {}, sorted(BIN_SHARDS)),
        (OLD, {}, ["tf_model.h5"]),
        ({"flax_model.msgpack": b"f"}, {}, ["flax_model.msgpack"]),
        (
            {"model.safetensors": b"s", "pytorch_model.bin": b"p"},
            {"use_safetensors": False},
            ["pytorch_model.bin"],
        ),
        ({"model.safetensors": b"s", "model.fp16.safetensors": b"h"}, {"variant": "fp16"},
         ["model.fp16.safetensors"]),
        ({"model.safetensors": b"s", **FP16}, {"variant": "fp16"}, sorted(FP16)),
        (
            {"model.fp16.safetensors": b"h", "pytorch_model.fp16.bin": b"p"},
            {"variant": "fp16", "use_safetensors": False},
            ["pytorch_model.fp16.bin"],
        ),
    ],
)  # fmt: skip
def test_one_kind_of_weights(
    files: dict[str, bytes], choice: dict, fetched: list[str], hub: Hub, tmp_path: Path
) -> None:
    hub.add("name", {**SMALL, **files})
    folder = local_folder("name", wanted={Part.WEIGHTS}, **choice)
    assert hub.fetched == fetched
    assert local_folder("name", wanted={Part.WEIGHTS}, local_files_only=True, **choice) == folder


@pytest.mark.parametrize(
    ("files", "choice", "said"),
    [
        (OLD, {"use_safetensors": True}, "(use_safetensors=True)"),
        ({"model.safetensors": b"s"}, {"use_safetensors": False}, "use_safetensors=False"),
        ({"model.safetensors": b"s"}, {"variant": "fp16"}, "must hold model.fp16.safetensors or"),
        ({"model.safetensors.index.json": SHARDS["model.safetensors.index.json"]}, {}, "00001-of-00002"),
        ({}, {}, "holding config.json, tokenizer_config.json, vocab.txt"),
    ],
)
def test_weights_that_are_not_there(files: dict, choice: dict, said: str, hub: Hub) -> None:
    hub.add("name", {**SMALL, **files})
    with pytest.raises(HubError, match="A model's repository must hold") as caught:
        local_folder("name", **choice)
    assert said in str(caught.value)


def test_a_repository_without_settings_or_vocabulary(hub: Hub) -> None:
    hub.add("name", {"README.md": b"", "model.safetensors": b"s"})
    with pytest.raises(HubError, match="must hold config.json"):
        DistilBertConfig.from_pretrained("name")
    with pytest.raises(HubError, match="must hold tokenizer.json or vocab.txt"):
        DistilBertTokenizerFast.from_pretrained("name")
    assert not hub.fetched


def test_variants_are_named_as_published() -> None:
    assert with_variant("model.safetensors", "fp16") == "model.fp16.safetensors"
    assert with_variant("pytorch_model.bin.index.json", "fp16") == "pytorch_model.bin.index.fp16.json"
    assert weights_file({"model.safetensors"}, variant="fp16") is None


def test_a_sentence_encoders_small_layers_come_too(hub: Hub) -> None:
    modules = [
        {"idx": 0, "path": "", "type": "Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "Pooling"},
        {"idx": 2, "path": "2_Dense", "type": "Dense"},
        {"idx": 3, "path": "../out", "type": "Dense"},
    ]
    more = {
        "modules.json": json.dumps(modules).encode(),
        "1_Pooling/config.json": b"{}",
        "2_Dense/config.json": b"{}",
        "2_Dense/model.safetensors": b"d",
        "2_Dense/pytorch_model.bin": b"d",
        "3_Other/config.json": b"{}",
    }
    hub.add("name", whole(**more))
    folder = local_folder("name")
    expected = {"modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"}
    assert names(folder) == {*SMALL, "model.safetensors", *expected}
    assert local_folder("name", local_files_only=True) == folder


# Who may read


def test_a_private_repository_is_for_its_token(hub: Hub) -> None:
    hub.add("owner/secret", whole(), private=True)
    assert names(local_folder("owner/secret", token=hub.token))
    for token in (None, False, "hf_wrong"):
        with pytest.raises(HubError, match="that the token may read") as caught:
            local_folder("owner/secret", token=token, wanted={Part.CONFIG})
        assert "the answer 401" in str(caught.value)
        assert "hf_" not in str(caught.value), "a token is never said"


@pytest.mark.parametrize("token", ["hf_SECRET\nSECRET", "hf_SECRET SECRET", "", "hf_SECRÉT", 5, b"hf_SECRET"])
def test_a_token_that_is_none_is_not_said(token: Any, hub: Hub) -> None:
    hub.add("short", whole())
    for ask in (
        lambda: local_folder("short", token=token),
        lambda: CONFIG.push_to_hub("somebody/small", token=token),
    ):
        with pytest.raises(ConfigError, match="A token is one word") as caught:
            ask()
        assert "SECR" not in str(caught.value)
    assert not hub.log


def test_space_around_a_token_is_none_of_it(hub: Hub) -> None:
    hub.add("me/private", whole(), private=True)
    assert local_folder("me/private", token=f" {hub.token}\n", wanted={Part.CONFIG})


def test_what_a_client_says_of_a_token_is_left_out() -> None:
    """Clients quote the head that they could not send."""
    for text in ("Invalid header value b'Bearer hf_SECRET\\n'", "no such user: hf_SECRET", "Bearer SECRET"):
        assert "SECRET" not in reason(ValueError(text))


def test_the_token_of_nobody(hub: Hub) -> None:
    hub.add("short", whole())
    with pytest.raises(ConfigError, match="nobody has"):
        local_folder("short", token=True)


def test_a_gated_repository_says_so(hub: Hub) -> None:
    hub.add("owner/gated", whole(), gated=True)
    with pytest.raises(HubError, match="whom its owner has let in"):
        local_folder("owner/gated")
    assert names(local_folder("owner/gated", token=hub.token))


def test_no_such_repository(hub: Hub) -> None:
    with pytest.raises(HubError, match="that the token may read") as caught:
        local_folder("owner/nowhere", token=hub.token)
    message = str(caught.value)
    assert "the answer 404" in message
    assert hub.address in message
    assert str(Path("owner/nowhere").absolute()) in message


# Without a hub


def test_what_was_fetched_is_found_without_a_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.add("owner/name", whole())
    folder = local_folder("owner/name")
    asked = len(hub.log)
    assert local_folder("owner/name", local_files_only=True) == folder
    assert local_folder("owner/name", revision=folder.name, local_files_only=True) == folder
    go_online(monkeypatch, online=False)
    assert local_folder("owner/name") == folder
    assert len(hub.log) == asked
    assert not caplog.records
    go_online(monkeypatch, online=True)
    hub.broken = 503
    with caplog.at_level(logging.WARNING):
        assert local_folder("owner/name") == folder
    assert "does not answer (the answer 503)" in caplog.text
    point_to(dead_address(), monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert local_folder("owner/name") == folder
    assert "Connection refused" in caplog.text


def test_the_cache_must_hold_all_that_is_wanted(hub: Hub) -> None:
    hub.add("name", whole())
    local_folder("name", wanted={Part.CONFIG})
    assert local_folder("name", wanted={Part.CONFIG}, local_files_only=True)
    with pytest.raises(HubError, match="the cached copy .* without vocab.txt"):
        local_folder("name", local_files_only=True)


def test_nothing_in_the_cache_and_nobody_to_ask(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("owner/name", whole())
    with pytest.raises(HubError, match="local_files_only=True, nothing of it in the cache"):
        local_folder("owner/name", local_files_only=True)
    assert not hub.log
    address = dead_address()
    point_to(address, monkeypatch)
    with pytest.raises(HubError, match="Connection refused") as caught:
        local_folder("owner/name", revision="v2", wanted={Part.CONFIG})
    message = str(caught.value)
    for said in ("owner/name at revision v2", "config", address, str(Path("owner/name").absolute()), "cache"):
        assert said in message
    assert caught.value.__context__ is None, "no traceback of the client's"
    go_online(monkeypatch, online=False)
    with pytest.raises(HubError, match="offline"):
        local_folder("owner/name")


def test_a_hub_that_hangs_is_not_waited_for(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    assert constants.HF_HUB_ETAG_TIMEOUT <= 10
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
    hub.hangs = threading.Event()
    start = time.monotonic()
    with pytest.raises(HubError, match="imed out"):
        local_folder("name")
    assert time.monotonic() - start < 5


def test_a_download_that_breaks_off_goes_on_next_time(hub: Hub) -> None:
    numbers = bytes(range(256)) * 100
    hub.add("name", whole(**{"model.safetensors": numbers}))
    hub.cut_after["model.safetensors"] = 1000
    with pytest.raises(HubError, match="A download must come to its end.*model.safetensors of name"):
        local_folder("name")
    with pytest.raises(HubError):
        local_folder("name", local_files_only=True)
    hub.cut_after.clear()
    assert (local_folder("name") / "model.safetensors").read_bytes() == numbers


def test_what_broke_off_is_not_read_from_the_cache(hub: Hub) -> None:
    """A commit is asked for by its own name, which no note in the cache stands for."""
    files = {**SMALL, "special_tokens_map.json": b'{"unk_token": "[UNK]"}'}
    commit = hub.add("me/tokens", files)
    hub.cut_after["tokenizer_config.json"] = 5
    with pytest.raises(HubError, match="must come to its end"):
        local_folder("me/tokens", revision=commit, wanted={Part.TOKENIZER})
    with pytest.raises(HubError, match=r"without tokenizer_config\.json, which the hub has"):
        local_folder("me/tokens", revision=commit, wanted={Part.TOKENIZER}, local_files_only=True)
    hub.cut_after.clear()
    found = local_folder("me/tokens", revision=commit, wanted={Part.TOKENIZER})
    again = local_folder("me/tokens", revision=commit, wanted={Part.TOKENIZER}, local_files_only=True)
    assert again == found
    assert (found / "special_tokens_map.json").exists()


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    hub.add("name", whole())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="must be writable"):
        local_folder("name", cache_dir=tmp_path / "file")


def test_another_cache_and_fetching_anew(hub: Hub, tmp_path: Path) -> None:
    hub.add("name", whole())
    folder = local_folder("name", cache_dir=tmp_path / "mine")
    assert folder.is_relative_to(tmp_path / "mine")
    once = len(hub.fetched)
    local_folder("name", cache_dir=tmp_path / "mine", force_download=True)
    assert len(hub.fetched) == 2 * once
    with pytest.raises(ConfigError, match="from this machine only"):
        local_folder("name", force_download=True, local_files_only=True)


# The public doors


def test_older_keywords() -> None:
    where, others = hub_keywords(
        {
            "use_auth_token": "t",
            "resume_download": True,
            "trust_remote_code": True,
            "proxies": None,
            "dim": 4,
            "revision": "x",
        }
    )
    assert (where, others) == ({"token": "t", "revision": "x"}, {"dim": 4})
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        hub_keywords({"proxies": {"https": "x"}})


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
def test_settings_and_tokenizers_from_a_name(kind: type, hub: Hub) -> None:
    hub.add("owner/name", whole(), private=True)
    where = {"token": hub.token, "revision": "main"}
    config = DistilBertConfig.from_pretrained("owner/name", dropout=0.5, **where)
    assert (config.dim, config.dropout) == (4, 0.5)
    content, rest = DistilBertConfig.get_config_dict("owner/name", use_auth_token=hub.token, more=1)
    assert (content["dim"], rest) == (4, {"more": 1})
    tokenizer = kind.from_pretrained("owner/name", padding_side="left", **where)
    assert tokenizer("Balls")["input_ids"] == [2, 6, 8, 3]
    assert (tokenizer.model_max_length, tokenizer.padding_side) == (8, "left")
    assert hub.fetched == sorted(SMALL)
    assert kind.from_pretrained("owner/name", local_files_only=True).get_vocab() == tokenizer.get_vocab()


def test_core_jobs_take_names(hub: Hub, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = tmp_path / "made"
    config = BertConfig(len(WORDS), 4, 2, 2, 8, max_position_embeddings=8)
    config.save_pretrained(made)
    arrays = {
        p.file_key: rng.normal(size=p.shape).astype(np.float32)
        for p in manifest(config, Head.MASKED_LM)
        if p.tied_to is None
    }
    write_arrays(made, arrays)
    (made / "vocab.txt").write_bytes(VOCABULARY)
    hub.add("owner/bert", {path.name: path.read_bytes() for path in made.iterdir()})
    assert shrink("owner/bert", layers=1, out=tmp_path / "student").n_layers == 1
    assert trim("owner/bert", ["a ball"], out=tmp_path / "trimmed").of_tokens == len(WORDS)
    with pytest.raises(HubError):
        shrink("owner/nobody", layers=1, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_line_takes_names(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from distilbert.cli.main import main

    assert main(["shrink", "--teacher", "owner/nobody", "--layers", "1", "--out", "x", "--quiet"]) == 2
    assert "or a repository on the hub that the token may read" in capsys.readouterr().err
    assert main(["info", "owner/nobody", "--quiet"]) == 2


# Sending


def test_what_is_pushed_comes_back(hub: Hub) -> None:
    made = CONFIG.push_to_hub("somebody/small", token=hub.token, commit_message="The first", private=True)
    repository = hub.repositories["somebody/small"]
    assert repository.private
    assert (repository.messages[-1], made.oid) == ("The first", repository.branches["main"])
    tokenizer = DistilBertTokenizerFast({word: i for i, word in enumerate(WORDS)}, do_lower_case=True)
    tokenizer.push_to_hub("small", token=hub.token)
    assert set(hub.files("somebody/small")) >= {"config.json", "vocab.txt", "tokenizer.json"}
    where = {"token": hub.token}
    assert DistilBertConfig.from_pretrained("somebody/small", **where) == CONFIG
    for kind in (DistilBertTokenizer, DistilBertTokenizerFast):
        again = kind.from_pretrained("somebody/small", **where)
        assert again("a ball")["input_ids"] == tokenizer("a ball")["input_ids"]


def test_a_later_push_is_the_one_that_is_read(hub: Hub) -> None:
    """Shards over a whole file, fewer shards, and whole again; what is no weights of ours stays."""
    from distilbert import DistilBertModel

    others = ("README.md", "model.fp16.safetensors", "pytorch_model.bin")
    hub.add("somebody/small", dict.fromkeys(others, b""))
    for size in ("5GB", "1KB", "4KB", "5GB"):
        model = DistilBertModel(CONFIG)
        model.push_to_hub("somebody/small", token=hub.token, max_shard_size=size)
        again = DistilBertModel.from_pretrained("somebody/small")
        for name, tensor in model.state_dict().items():
            assert (again.state_dict()[name] == tensor).all(), (size, name)
    assert set(hub.files("somebody/small")) == {*others, "config.json", "model.safetensors"}


def test_pushing_with_the_peers_order_of_arguments(hub: Hub) -> None:
    made = CONFIG.push_to_hub(
        "somebody/small", None, "The first", True, hub.token, "5GB", False, True, None, "and more"
    )
    assert hub.repositories["somebody/small"].private
    assert (made.commit_message, made.commit_description) == ("The first", "and more")
    assert DistilBertConfig.from_pretrained("somebody/small", token=hub.token) == CONFIG


def test_saving_may_push(hub: Hub, tmp_path: Path) -> None:
    CONFIG.save_pretrained(tmp_path / "my-model", push_to_hub=True, token=hub.token)
    assert (tmp_path / "my-model" / "config.json").read_bytes() == hub.files("somebody/my-model")[
        "config.json"
    ]
    tokenizer = DistilBertTokenizerFast({word: i for i, word in enumerate(WORDS)}, do_lower_case=True)
    tokenizer.save_pretrained(
        tmp_path / "my-model", legacy_format=True, push_to_hub=True, repo_id="team/words", token=hub.token
    )
    assert "tokenizer.json" not in hub.files("team/words")
    assert "vocab.txt" in hub.files("team/words")
    with pytest.raises(ConfigError, match="need push_to_hub=True"):
        CONFIG.save_pretrained(tmp_path / "my-model", repo_id="x")


def test_pushing_to_a_branch_and_as_a_proposal(hub: Hub) -> None:
    CONFIG.push_to_hub("somebody/small", token=hub.token)
    changed = DistilBertConfig.from_dict(CONFIG.to_dict(), dropout=0.3)
    changed.push_to_hub("somebody/small", token=hub.token, revision="tries")
    made = changed.push_to_hub("somebody/small", token=hub.token, create_pr=True)
    assert made.pr_num == 1
    read = DistilBertConfig.from_pretrained
    assert read("somebody/small").dropout == CONFIG.dropout
    assert read("somebody/small", revision="tries").dropout == 0.3
    assert read("somebody/small", revision="refs/pr/1").dropout == 0.3


def test_whatever_saves_into_a_folder_can_be_pushed(hub: Hub) -> None:
    class Model(Publishable):
        def save_pretrained(self, save_directory: str | Path, *, size: int = 1) -> None:
            CONFIG.save_pretrained(save_directory)
            (Path(save_directory) / "model.safetensors").write_bytes(b"n" * size)

    Model().push_to_hub("somebody/model", token=hub.token, size=3)
    assert (local_folder("somebody/model", wanted=MODEL) / "model.safetensors").read_bytes() == b"nnn"
    assert hub.repositories["somebody/model"].messages[-1] == "Upload Model"


def test_pushing_that_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/b/c", "../x", "a b"):
        with pytest.raises(OutputError, match="named name or owner/name"):
            CONFIG.push_to_hub(name, token=hub.token)
    with pytest.raises(OutputError, match="allowed to write there.*the answer 401") as caught:
        CONFIG.push_to_hub("somebody/small", token="hf_wrong")
    assert "hf_wrong" not in str(caught.value)
    point_to(dead_address(), monkeypatch)
    with pytest.raises(OutputError, match="Connection refused") as caught:
        CONFIG.push_to_hub("somebody/small", token=hub.token)
    assert isinstance(caught.value, DistilBertError)


# Other programs


def test_the_peer_finds_what_was_pushed_and_we_find_its_cache(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own: the peer reads the environment when it is imported."""
    hub.user = "team"
    CONFIG.push_to_hub("team/model", token=hub.token)
    tokenizer = DistilBertTokenizerFast({word: i for i, word in enumerate(WORDS)}, do_lower_case=True)
    tokenizer.push_to_hub("team/model", token=hub.token)
    code = (
        "from transformers import AutoConfig, AutoTokenizer\n"
        "from distilbert import DistilBertConfig, DistilBertTokenizer\n"
        "theirs = AutoConfig.from_pretrained('team/model')\n"
        "ours = DistilBertConfig.from_pretrained('team/model', local_files_only=True)\n"
        "assert (theirs.dim, theirs.n_layers) == (ours.dim, ours.n_layers)\n"
        "tokenizer = DistilBertTokenizer.from_pretrained('team/model')\n"
        "theirs = AutoTokenizer.from_pretrained('team/model', local_files_only=True)\n"
        "print(theirs('Balls a')['input_ids'] == tokenizer('Balls a')['input_ids'])\n"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "home"),
        "USE_TORCH": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.strip() == "True", done.stderr[-2000:]
    assert (tmp_path / "home" / "hub" / "models--team--model" / "refs" / "main").is_file()
