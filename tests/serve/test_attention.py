"""What a model attends to, as the peer tells it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peer import transformers
from running_server import Client
from tiny import TEXTS

from distilbert.core import reference
from distilbert.engine.attending import _gelu


@pytest.mark.parametrize("name", ["classes", "states", "asked"])
def test_it_is_what_the_peer_attends_to(client: Client, served: dict[str, Path], name: str) -> None:
    peer = transformers.AutoModel.from_pretrained(served[name], attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(served[name])
    given = tokenizer(TEXTS[0], return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        wanted = peer(**given, output_attentions=True).attentions
    for layer, its in enumerate(wanted):
        found = client.answer(f"/models/{name}/attention", {"inputs": TEXTS[0], "layer": layer})
        assert (found["layers"], found["layer"]) == (len(wanted), layer)
        assert found["tokens"] == tokenizer.convert_ids_to_tokens(given["input_ids"][0])
        np.testing.assert_allclose(found["attention"], its[0].numpy(), atol=6e-5)  # four digits
    # Another layer's would not have passed.
    assert np.abs(wanted[0][0].numpy() - wanted[1][0].numpy()).max() > 1e-3


def test_what_cannot_be_shown_is_said(client: Client) -> None:
    beyond = client.post("/models/classes/attention", {"inputs": "it", "layer": 2})
    assert beyond.status == 422
    assert "layer" in beyond.json()["error"]
    assert client.post("/models/nobody/attention", {"inputs": "it"}).status == 404
    assert client.post("/models/classes/attention", {"inputs": ["it"]}).status == 422
    long = client.post("/models/classes/attention", {"inputs": "film " * 50})
    assert long.status == 200
    assert len(long.json()["tokens"]) == 24
    assert long.headers["x-dropped-tokens"] == "28"


def test_the_quick_error_function_is_near_the_slow_one() -> None:
    x = np.linspace(-6, 6, 10_001)
    np.testing.assert_allclose(_gelu(x), reference.gelu(x), atol=1e-6)
    assert np.abs(reference.gelu_tanh(x) - reference.gelu(x)).max() > 1e-4
