"""Who may ask, over what, and what the environment and the command line say."""

import json
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_server import Client, serve_process, serving
from served_folders import write_served_folders

from distilbert.errors import ConfigError
from distilbert.serve.environment import told_by
from distilbert.serve.settings import Settings

GOOD = {"inputs": "it is bad"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_served_folders(tmp_path_factory.mktemp("served"), "classes")["classes"]


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Client]:
    settings = {
        "keys": ("first-key", "other-kéy"),
        "predict_route": "/my/predict",
        "health_route": "/my/health",
    }
    with serving({"classes": folder}, **settings) as client:
        yield client


ROUTES = (
    "/", "/models/classes", "/predict", "/tokenize", "/v1/embeddings", "/v2/models/classes/infer",
    "/invocations", "/v1/models/classes:predict", "/vertex", "/my/predict", "/models",
    "/v2/repository/models/classes/unload",
)  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "given",
    [None, "first-key", "Bearer", "Bearer first-ke", "Bearer first-key2", "Basic first-key", "Bearer \xff"],
)
def test_without_a_key_nothing_is_told(path: str, given: str | None, guarded: Client) -> None:
    headers = {} if given is None else {"authorization": given}
    reply = guarded.post(path, GOOD, **headers)
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["error"]
    assert "first" not in reply.body.decode()


def test_with_a_key_all_is_as_usual(guarded: Client) -> None:
    for key in ("first-key", "other-kéy".encode().decode("latin-1")):
        assert guarded.post("/", GOOD, authorization=f"Bearer {key}").status == 200
        assert guarded.post("/my/predict", {"instances": ["no"]}, authorization=f"bearer {key}").status == 200
    for path in ("/health", "/ping", "/metrics", "/v2/health/live", "/v2/health/ready", "/my/health"):
        assert guarded.get(path).status == 200
    assert guarded.get("/info").status == 401
    # A body is not read before the key is known.
    assert guarded.post("/", b"{").status == 401


def test_what_an_environment_says(tmp_path: Path, folder: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert told_by({}, sagemaker=nowhere).places == {}
    assert told_by({}, sagemaker=nowhere).settings == {}
    run = told_by({"PORT": "9000", "HF_MODEL_ID": "me/mine", "HF_TASK": "ner"}, sagemaker=nowhere)
    assert (dict(run.places), run.task) == ({"mine": "me/mine"}, "ner")
    assert run.settings == {"host": "0.0.0.0", "port": 9000}
    vertex = told_by(
        {"AIP_HTTP_PORT": "8081", "PORT": "1", "AIP_PREDICT_ROUTE": "/p", "AIP_HEALTH_ROUTE": "/h",
         "AIP_STORAGE_URI": str(folder), "DISTILBERT_API_KEY": "k"},
        sagemaker=nowhere,
    )  # fmt: skip
    assert dict(vertex.places) == {"classes": str(folder)}
    assert vertex.settings == {
        "host": "0.0.0.0", "port": 8081, "keys": ("k",), "predict_route": "/p", "health_route": "/h"
    }  # fmt: skip
    assert told_by({"AIP_STORAGE_URI": "gs://bucket/model"}, sagemaker=nowhere).places == {}
    laid = told_by({}, sagemaker=str(folder))
    assert dict(laid.places) == {"classes": str(folder)}
    assert laid.settings == {"host": "0.0.0.0"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"port": 70_000}, "at most 65535"),
        ({"deadline": 0}, "deadline"),
        ({"on_long": "drop"}, "on_long"),
        ({"tls_certificate": "a.pem"}, "and its key"),
        ({"tls_certificate": "a.pem", "tls_key": "b.pem"}, "that are there"),
        ({"predict_route": "predict"}, "begins with a slash"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Settings(**given)


def test_a_server_speaks_tls_and_takes_keys_of_a_file(folder: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key, keys = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "keys"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    keys.write_text("a-key\nanother\n")
    words = (
        "--tls-certificate",
        str(certificate),
        "--tls-key",
        str(key),
        "--key-file",
        str(keys),
        "--log-texts",
    )
    with serve_process(f"mine={folder}", *words) as running:
        address = next(line.split()[-1] for line in running.said if line.startswith("Listening"))
        trusted = ssl.create_default_context(cafile=str(certificate))

        def ask(path: str, body: object = None) -> bytes:
            asked = urllib.request.Request(
                f"{address}{path}", None if body is None else json.dumps(body).encode()
            )
            asked.add_header("content-type", "application/json")
            asked.add_header("authorization", "Bearer another")
            return urllib.request.urlopen(asked, context=trusted, timeout=60).read()

        while True:
            try:
                ask("/health")
                break
            except urllib.error.HTTPError:
                pass
        assert json.loads(ask("/models/mine", {"inputs": "it is a secret"}))
        assert running.stop() == 0
    assert address.startswith("https://")
    # Texts are logged where that is asked for, and keys never are.
    assert any("it is a secret" in line for line in running.said)
    assert not any("another" in line for line in running.said)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "must have a model"),
        (("a=x", "a=y"), "a name of its own"),
        (("a/b=x",), "without a slash"),
        (("nowhere/at/all/x", "--port", "99999"), "at most 65535"),
    ],
)
def test_a_command_line_that_cannot_be(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture
) -> None:
    from distilbert.cli.main import main

    assert main(["serve", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(folder: Path, guarded: Client, capsys: pytest.CaptureFixture) -> None:
    from distilbert.cli.main import main

    assert main(["serve", str(folder), "--port", str(guarded.port)]) == 2
    assert "Choose another --port" in capsys.readouterr().err
