"""A model as one graph: compiled, exported and traced, with the outputs that it has without."""

import io
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny import CLASSES, answers, ragged, tiny

#: A graph and a call compute the same padded rows, in the same order but for what a compiler fuses.
ATOL = 1e-6

#: Rows and lengths that no graph was made with: a single one of each, and the longest text there may be.
OTHERS = ((1, 1), (1, 9), (4, 1), (6, 24))


def padded(name: str, **changes: Any) -> Any:
    """A graph computes padding, for its number of texts of each length would be another with each batch; so
    does this, that what is compared is the graph.
    """
    model = tiny(name, **changes)
    model.set_attention(model.config.attn_implementation, packing=False)
    return model


def difference(ours: Any, other: Any) -> float:
    ours, other = ([*x.values()] if isinstance(x, dict) else [*x] for x in (ours, other))
    assert len(ours) == len(other) > 0
    apart = [(a - b).detach().abs().max() for a, b in zip(ours, other, strict=True)]
    # Of floats max() would pass over what is no number.
    return float(torch.stack(apart).max())


@pytest.fixture
def compiled() -> Iterator[Any]:
    """Compiles as one graph, or fails; counts how often."""
    from torch._dynamo.testing import CompileCounterWithBackend

    counters: list[Any] = []

    def compile_(model: Any, backend: str = "eager", **how: Any) -> Any:
        counters.append(CompileCounterWithBackend(backend))
        return torch.compile(model, backend=counters[-1], fullgraph=True, **how), counters[-1]

    torch._dynamo.reset()
    yield compile_
    torch._dynamo.reset()


@pytest.mark.parametrize("name", CLASSES)
def test_one_graph_serves_every_batch_size_and_length(name: str, compiled: Any) -> None:
    model = padded(name)
    graph, counter = compiled(model, dynamic=True)
    for rows, length in ((3, 7), (5, 12), (2, 24), (7, 3)):
        input_ids, mask = ragged(name, rows, length)
        labels = answers(name, input_ids)
        assert difference(graph(input_ids, mask, **labels), model(input_ids, mask, **labels)) <= ATOL
    assert counter.frame_count == 1


def test_marked_axes_never_compile_again(compiled: Any) -> None:
    model = padded("DistilBertForTokenClassification", attn_implementation="eager")
    graph, counter = compiled(model)
    with torch._dynamo.config.patch(error_on_recompile=True), torch.no_grad():
        for rows, length in ((3, 7), (5, 12), (2, 24)):
            given = ragged("", rows, length)
            for tensor in given:
                torch._dynamo.mark_dynamic(tensor, 0)
                torch._dynamo.mark_dynamic(tensor, 1)
            assert difference(graph(*given), model(*given)) <= ATOL
    assert counter.frame_count == 1


def test_a_compiled_training_step_is_the_same(compiled: Any) -> None:
    model = padded("DistilBertForMaskedLM", n_layers=1).train()
    graph, counter = compiled(model, backend="aot_eager", dynamic=True)
    before = None
    for rows, length in ((3, 9), (5, 6)):
        input_ids, mask = ragged("", rows, length)
        gradients = []
        for run in (model, graph):
            model.zero_grad()
            run(input_ids, mask, labels=input_ids).loss.backward()
            gradients.append([p.grad.clone() for p in model.parameters()])
        assert difference(*gradients) <= ATOL
        assert max(float(g.abs().max()) for g in gradients[0]) > 1e-2  # zeros would be equal too
        assert counter.frame_count == (before or counter.frame_count)
        before = counter.frame_count


def test_compiled_with_what_else_a_call_can_ask_for(compiled: Any) -> None:
    """Weights and hidden states, a head mask, token types, a mask for each pair, recomputation."""
    model = padded("DistilBertModel")
    input_ids, mask = ragged("", 3, 9)
    asked = {"output_attentions": True, "output_hidden_states": True, "head_mask": torch.rand(2, 4)}
    graph, _ = compiled(model)
    ours, other = (run(input_ids, mask, **asked) for run in (graph, model))
    assert ours.keys() == other.keys()
    flat = [torch.utils._pytree.tree_leaves(output) for output in (ours, other)]
    assert len(flat[0]) == 1 + 3 + 2
    assert difference(*flat) <= ATOL
    pairs = torch.rand(3, 1, 9, 9) > 0.3
    types = torch.zeros_like(input_ids)
    assert difference(graph(input_ids, pairs, token_type_ids=types), model(input_ids, pairs)) <= ATOL
    model.train().gradient_checkpointing_enable()
    assert difference(graph(input_ids, mask), model(input_ids, mask)) <= ATOL


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler, and there is no g++")
def test_compiled_by_inductor() -> None:
    name = "DistilBertForSequenceClassification"
    model = padded(name, n_layers=1)
    torch._dynamo.reset()
    graph = torch.compile(model, fullgraph=True, dynamic=True)
    with torch.no_grad():
        for rows, length in ((3, 7), (5, 12)):
            given = ragged(name, rows, length)
            # Its kernels sum in another order: fp32's own tolerance.
            assert difference(graph(*given), model(*given)) <= 1e-5
    torch._dynamo.reset()


@pytest.mark.parametrize(("name", "masked"), [*((name, True) for name in CLASSES), (CLASSES[2], False)])
def test_exported_with_any_batch_size_and_length(name: str, masked: bool) -> None:
    model = padded(name)
    first = dict(zip(("input_ids", "attention_mask")[: 1 + masked], ragged(name, 3, 7), strict=False))
    rows, length = torch.export.Dim("rows", max=64), torch.export.Dim("length", max=24)
    axes = {0: rows, next(iter(first.values())).dim() - 1: length}
    program = torch.export.export(model, (), first, dynamic_shapes=dict.fromkeys(first, axes))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    graph = torch.export.load(file).module()
    for rows_, length_ in OTHERS:
        given = dict(zip(first, ragged(name, rows_, length_, seed=1), strict=False))
        ours, other = graph(**given), model(**given)
        assert type(ours) is type(other)
        assert difference(ours, other) <= ATOL


@pytest.mark.parametrize("implementation", ["eager", "flex_attention"])
def test_exported_with_another_attention(implementation: str) -> None:
    model = padded("DistilBertForSequenceClassification", attn_implementation=implementation)
    dims = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    with torch.no_grad():  # flex attention has no other way on a CPU
        program = torch.export.export(model, ragged("", 3, 7), dynamic_shapes=(dims, dims))
        targets = {str(node.target) for node in program.graph.nodes}
        assert not any("scaled_dot_product" in target for target in targets)
        assert ("flex_attention" in targets) is (implementation == "flex_attention")
        given = ragged("", 6, 24)
        assert difference(program.module()(*given), model(*given)) <= ATOL


def traced(model: Any, *given: Any, **how: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a trace of ours asks nothing of a tensor
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)  # PyTorch's, of its own plans
        return torch.jit.trace(model, given, **how)


@pytest.mark.parametrize(
    ("name", "implementation"), [*((name, "sdpa") for name in CLASSES), (CLASSES[2], "eager")]
)
def test_traced(name: str, implementation: str) -> None:
    """Fixed shapes, as compilers for accelerators take them: other masks and ids of the same shape."""
    model = padded(name, n_layers=1, attn_implementation=implementation)
    first, other = ragged(name, 3, 7), ragged(name, 3, 7, seed=1)
    assert not torch.equal(first[1], other[1])
    assert difference(traced(model, *first, strict=False)(*other), model(*other)) <= ATOL
    model.config.return_dict = False
    assert difference(traced(model, other[0])(first[0]), model(first[0])) <= ATOL


@pytest.mark.parametrize("name", ["DistilBertModel", *CLASSES])
def test_traced_with_what_lies_between(name: str) -> None:
    """A trace is compared with a second one, which records no gradients."""
    model = padded(name, output_hidden_states=True, torchscript=True)
    first, other = ragged(name, 3, 7), ragged(name, 3, 7, seed=1)
    found, wanted = traced(model, *first)(*other), model(*other)
    flat = [torch.utils._pytree.tree_leaves(output) for output in (found, wanted)]
    assert len(flat[0]) == len(flat[1]) >= 4
    assert difference(*flat) <= ATOL


LABELS = {
    "DistilBertForMaskedLM": lambda rows, length: {"labels": torch.ones(rows, length, dtype=torch.long)},
    "DistilBertForSequenceClassification": lambda rows, _: {"labels": torch.ones(rows, dtype=torch.long)},
    "DistilBertForMultipleChoice": lambda rows, _: {"labels": torch.ones(rows, dtype=torch.long)},
    "DistilBertForTokenClassification": lambda rows, length: {
        "labels": torch.ones(rows, length, dtype=torch.long)
    },
    "DistilBertForQuestionAnswering": lambda rows, _: {
        name: torch.ones(rows, dtype=torch.long) for name in ("start_positions", "end_positions")
    },
}


@pytest.mark.parametrize("chunk", [0, 4])
@pytest.mark.parametrize("name", LABELS)
def test_exported_with_labels_and_in_pieces(name: str, chunk: int) -> None:
    model = padded(name, chunk_size_feed_forward=chunk)
    names = ("input_ids", "attention_mask")
    first = {**dict(zip(names, ragged(name, 3, 7), strict=True)), **LABELS[name](3, 7)}
    rows, length = torch.export.Dim("rows", max=64), torch.export.Dim("length", max=24)
    axes = {
        key: {0: rows, **({tensor.dim() - 1: length} if tensor.dim() > 1 else {})}
        for key, tensor in first.items()
    }
    graph = torch.export.export(model, (), first, dynamic_shapes=axes).module()
    for rows_, length_ in OTHERS:
        given = dict(zip(names, ragged(name, rows_, length_, seed=1), strict=True))
        given |= LABELS[name](rows_, length_)
        assert difference(graph(**given), model(**given)) <= ATOL


def test_a_trace_is_saved_and_read_again() -> None:
    model = padded("DistilBertForQuestionAnswering", n_layers=1, torchscript=True)
    first, other = ragged("", 3, 7), ragged("", 3, 7, seed=1)
    trace, file = traced(model, *first), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        torch.jit.save(torch.jit.freeze(trace), file)
        file.seek(0)
        assert difference(torch.jit.load(file)(*other), model(*other)) <= ATOL


def test_packing_differs_from_what_is_compared_here_by_rounding_alone() -> None:
    model = tiny("DistilBertForMaskedLM")
    given = ragged("", 3, 7)
    packed = model(*given)
    model.set_attention("sdpa", packing=False)
    assert difference(packed, model(*given)) <= 1e-5
