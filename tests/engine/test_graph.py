"""A model as a graph says what PyTorch's says, in both forms, and bears the nodes that make it fast."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import apart, arrays_of, build, computed, feed, kept_operators, model_with, operators, said
from models import CONFIGS, TEACHER, batch
from peer import ATOL

from distilbert import BertConfig, DistilBertConfig
from distilbert.core import rules
from distilbert.core.parameters import Head
from distilbert.core.pooling import POOLINGS, Pooling
from distilbert.torch.embedder import new_encoder
from distilbert.torch.pooling import pooled_rows

ALL = {**CONFIGS, "bert": TEACHER}
FORMS = ("fused", "plain")
#: Difference that shows that something was computed otherwise.
SHOWS = 1e-4


def live_batch(config: Any, *, side: str = "right", seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A ragged batch whose every row has a live token."""
    ids, mask = batch(config, rows=5, side=side, seed=seed)
    rows = mask.any(dim=1)
    return ids[rows], mask[rows]


@pytest.mark.parametrize("head", Head)
@pytest.mark.parametrize("name", ALL)
def test_a_graph_says_what_the_model_says(name: str, head: Head) -> None:
    config = ALL[name]
    model = model_with(config, head)
    graphs = {form: build(config, arrays_of(model), head, form=form) for form in FORMS}
    for side in ("right", "left"):
        ids, mask = live_batch(config, side=side)
        for form, graph in graphs.items():
            found = computed(graph, feed(config, ids, mask))
            assert apart(found, said(model, head, ids, mask), mask) <= ATOL, (form, side)
    ids, mask = ids[:1, -1:], mask[:1, -1:]  # one token alone
    for graph in graphs.values():
        assert apart(computed(graph, feed(config, ids, mask)), said(model, head, ids, mask), mask) <= ATOL


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", rules.ACTIVATIONS)
def test_every_activation_is_itself(activation: str, form: str) -> None:
    config = deepcopy(CONFIGS["usual"])
    config.activation = activation
    model = model_with(config, Head.MASKED_LM)
    ids, mask = live_batch(config)
    found = computed(build(config, arrays_of(model), Head.MASKED_LM, form=form), feed(config, ids, mask))
    assert apart(found, said(model, Head.MASKED_LM, ids, mask), mask) <= ATOL


@pytest.mark.parametrize("form", FORMS)
def test_what_is_computed_otherwise_shows(form: str) -> None:
    head, config = Head.SEQUENCE_CLASSIFICATION, TEACHER
    model = model_with(config, head)
    with torch.no_grad():  # small states, which an epsilon is felt by
        for table in (model.bert.embeddings.word_embeddings, model.bert.embeddings.position_embeddings,
                      model.bert.embeddings.token_type_embeddings):  # fmt: skip
            table.weight.mul_(0.01)
    arrays = arrays_of(model)
    ids, mask = live_batch(config, side="left")
    types = torch.randint(0, 2, ids.shape, generator=torch.Generator().manual_seed(0))
    true = said(model, head, ids, mask, types)

    def off(config: Any = config, arrays: Any = arrays, mask: Any = mask, types: Any = types) -> float:
        graph = build(config, arrays, head, form=form)
        return apart(computed(graph, feed(config, ids, mask, types)), true, mask)

    assert off() <= ATOL
    of_layer = [key for key in arrays if ".layer.1.attention." in key]
    query, key = (next(k for k in of_layer if part in k and k.endswith("weight")) for part in ("q_", "k_"))
    mutants = {
        "a tanh for the erf": off(changed(config, activation="gelu_new")),
        "epsilon": off(changed(config, layer_norm_eps=1e-5)),
        "no mask": off(mask=torch.ones_like(mask)),
        "queries and keys swapped": off(arrays={**arrays, query: arrays[key], key: arrays[query]}),
        "no token types": off(types=torch.zeros_like(types)),
    }
    assert min(mutants.values()) > SHOWS, mutants


def changed(config: Any, **fields: Any) -> Any:
    other = deepcopy(config)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def test_pruned_heads_are_left_out() -> None:
    config = changed(CONFIGS["usual"], pruned_heads={0: [1, 2], 1: [0]})
    for head in (Head.SEQUENCE_CLASSIFICATION, Head.TOKEN_CLASSIFICATION):
        model = model_with(config, head)
        ids, mask = live_batch(config)
        for form in FORMS:
            found = computed(build(config, arrays_of(model), head, form=form), feed(config, ids, mask))
            assert apart(found, said(model, head, ids, mask), mask) <= ATOL


@pytest.mark.parametrize("form", FORMS)
def test_vectors_are_pooled_in_the_graph(form: str) -> None:
    config = CONFIGS["usual"]
    encoder = model_with(config, Head.NONE)
    arrays = arrays_of(encoder)
    for modes in [*((mode,) for mode in POOLINGS), ("mean", "cls", "max")]:
        graph = build(config, arrays, pooling=Pooling(modes), form=form)
        for side in ("right", "left"):
            ids, mask = live_batch(config, side=side)
            with torch.no_grad():
                true = pooled_rows(encoder, ids, mask, Pooling(modes)).numpy()
            found = computed(graph, feed(config, ids, mask))[0]
            assert np.abs(found - true).max() <= ATOL, modes
            other = pooled_rows(encoder, ids, torch.ones_like(mask), Pooling(modes)).detach().numpy()
            assert np.abs(other - true).max() > SHOWS, modes


def test_a_berts_pooler_is_no_part_of_its_vectors() -> None:
    encoder = new_encoder(TEACHER)
    graph = build(TEACHER, arrays_of(encoder), pooling=Pooling())
    assert not any("pooler" in name for name in graph.arrays)


def test_nodes_are_the_fused_ones(tmp_path: Path) -> None:
    config = CONFIGS["usual"]
    layers = config.n_layers
    for head in (Head.SEQUENCE_CLASSIFICATION, Head.TOKEN_CLASSIFICATION):
        graph = build(config, arrays_of(model_with(config, head)), head, form="fused")
        single = int(head.reads_one_token)
        for found in (operators(graph), kept_operators(graph, tmp_path)):
            assert found["EmbedLayerNormalization"] == 1
            assert found["Attention"] == layers - single
            assert found["MultiHeadAttention"] == single
            assert found["SkipLayerNormalization"] == 2 * layers
            assert found["BiasGelu"] == layers
            assert not found["Softmax"]
            assert not found["Erf"]
            # Queries, keys and values are one product, which is Attention's own.
            assert found["MatMul"] + found["Gemm"] <= 3 * layers + 3 * single + 1


def test_the_plain_form_is_the_standards() -> None:
    import onnx

    for config in (CONFIGS["usual"], TEACHER):
        for head in Head:
            graph = build(config, arrays_of(model_with(config, head)), head)
            read = onnx.load_from_string(graph.bytes())
            assert [opset.domain for opset in read.opset_import] == [""]
            onnx.checker.check_model(read, full_check=True)


def test_openvino_fuses_the_plain_form() -> None:
    """Attention is one subgraph a layer, each norm one node, and GELU and biases are part of products."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    # At a head's usual width: its patterns know no odd ones.
    config = DistilBertConfig(vocab_size=60, n_layers=2, n_heads=2, dim=128, hidden_dim=256)
    head = Head.TOKEN_CLASSIFICATION
    model = model_with(config, head)
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    read = core.read_model(build(config, arrays_of(model), head).bytes())
    compiled = core.compile_model(read, "CPU", settings)
    ids, mask = live_batch(config)
    found = [compiled(feed(config, ids, mask))[0]]
    assert apart(found, said(model, head, ids, mask), mask) <= ATOL
    kinds = [
        op.get_rt_info()["layerType"].astype(str) for op in compiled.get_runtime_model().get_ordered_ops()
    ]
    assert kinds.count("Subgraph") == config.n_layers
    assert kinds.count("MVN") == 2 * config.n_layers + 1
    assert kinds.count("FullyConnected") == 6 * config.n_layers + 1
    assert not {"Softmax", "MatMul", "Erf", "Split"} & set(kinds)


def test_a_model_without_room_in_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from distilbert.engine import onnx_file
    from distilbert.errors import ConfigError

    monkeypatch.setattr(onnx_file, "MOST_BYTES", 10_000)
    config = CONFIGS["usual"]
    with pytest.raises(ConfigError, match=r"two gigabytes\. Received: [\d,]+ bytes"):
        build(config, arrays_of(model_with(config, Head.NONE))).bytes()


def test_bert_reads_types_and_distilbert_none() -> None:
    from distilbert.engine.graph import input_names

    assert input_names(BertConfig()) == ["input_ids", "attention_mask", "token_type_ids"]
    assert input_names(DistilBertConfig()) == ["input_ids", "attention_mask"]


@pytest.mark.parametrize("name", ALL)
def test_words_are_guessed_where_they_are_asked_for(name: str) -> None:
    config = ALL[name]
    model = model_with(config, Head.MASKED_LM)
    for side in ("right", "left"):
        ids, mask = live_batch(config, side=side)
        live = mask.argmax(dim=1)
        asked = torch.stack([live, live + mask.sum(dim=1) - 1, live], dim=1)
        true = said(model, Head.MASKED_LM, ids, mask)[0][torch.arange(len(ids))[:, None], asked]
        for form in FORMS:
            graph = build(config, arrays_of(model), Head.MASKED_LM, form=form, asked=True)
            found = computed(graph, {**feed(config, ids, mask), "asked": asked.numpy()})[0]
            assert np.abs(found - true).max() <= ATOL
            other = computed(graph, {**feed(config, ids, mask), "asked": asked.flip(1).numpy()})[0]
            assert np.abs(other[:, 1] - true[:, 1]).max() <= ATOL
            assert np.abs(found[:, 0] - found[:, 1]).max() > SHOWS
