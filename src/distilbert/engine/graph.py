"""A model as a graph, made from its manifest: no framework is asked.

Graphs take ``input_ids`` and ``attention_mask``, of a BERT ``token_type_ids`` too, whole numbers [B, S], each
row with a live token. What they give bears the published names. Where a head reads one token of a text, the
last layer computes that token's states only. What stands at padding is not to be read.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distilbert.core import parameters
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Head, kept_heads
from distilbert.core.pooling import Pooling
from distilbert.engine.fused import Fused
from distilbert.engine.heads import at_place, outputs, place, read_token
from distilbert.engine.nodes import EMBEDDINGS, HEAD, Nodes, layer_part
from distilbert.engine.onnx_file import Graph
from distilbert.engine.plain import Plain

#: What writes a graph's parts, given the nodes to add to and ``epsilon``.
Form = Callable[..., Plain]

#: Those that have a name.
FORMS: dict[str, Form] = {"fused": Fused, "plain": Plain}


def input_names(config: EncoderConfig) -> list[str]:
    """What a model's graph is given."""
    types = ["token_type_ids"] if isinstance(config, BertConfig) else []
    return ["input_ids", "attention_mask", *types]


def build(
    config: EncoderConfig,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    head: Head = Head.NONE,
    *,
    pooling: Pooling | None = None,
    form: str | Form = "plain",
    choices: bool = False,
    asked: bool = False,
) -> Graph:
    """The graph of a model.

    Args:
        config: the model's sizes.
        arrays: its weights, by the keys of the manifest.
        head: what stands on the encoder.
        pooling: what makes one vector of a text's states, where there is no head; None gives the states.
        form: "plain" is the standard's operators, "fused" ONNX Runtime's own; or what writes the parts.
        choices: take the options of a question together, [B, options, S], and give [B, options].
        asked: of a masked language model, take ``asked`` too, the columns of the tokens to guess, [B, M], and
            give [B, M, V].

    Returns:
        A graph that gives ``logits`` [B, C], [B, 1] of multiple choice, [B, S, C] or [B, S, V];
        ``start_logits`` and ``end_logits`` [B, S]; ``last_hidden_state`` [B, S, D]; or
        ``sentence_embedding`` [B, E].
    """
    arrays = {key: np.asarray(array, np.float32) for key, array in arrays.items()}
    encoder = parameters.as_attributes(parameters.split_base(arrays, config))
    nodes = Nodes(config.model_type)
    form_of = (FORMS[form] if isinstance(form, str) else form)(nodes, epsilon=config.layer_norm_eps)
    names = input_names(config)
    nodes.part = EMBEDDINGS
    given = {name: _rows(nodes, name) if choices else name for name in names}
    live = given["attention_mask"]
    mask = form_of.mask(live)
    last_token = read_token(head, pooling)
    x = form_of.embed(given["input_ids"], given.get("token_type_ids"), encoder.embeddings)
    for i in range(config.n_layers):
        nodes.part = layer_part(i)
        block, query = getattr(encoder.transformer.layer, str(i)), ""
        if i == config.n_layers - 1:
            if asked:
                query = at_place(form_of, x, "asked")
            elif last_token is not None:
                query = at_place(form_of, x, place(form_of, live, last=last_token))
        x = _block(form_of, x, mask, block, config, i, query)
    single = last_token is not None
    nodes.part = HEAD
    whole = parameters.as_attributes(arrays)
    found = outputs(form_of, x, live, whole, config, head, pooling, single=single)
    axes: tuple[str, ...] = ("batch", "sequence")
    if asked:
        (logits, _), *_ = found.values()
        found = {"logits": (logits, ["batch", "asked", config.vocab_size])}
        return nodes.graph({**dict.fromkeys(names, axes), "asked": ["batch", "asked"]}, found)
    if choices:
        axes = ("batch", "options", "sequence")
        sizes = nodes.add("Slice", nodes.add("Shape", names[0]), nodes.whole(0), nodes.whole(2))
        (logits, _), *_ = found.values()
        found = {"logits": (nodes.add("Reshape", logits, sizes), axes[:2])}
    return nodes.graph(dict.fromkeys(names, axes), found)


def _rows(nodes: Nodes, name: str) -> str:
    """An input [B, options, S] as [B * options, S]."""
    length = nodes.add("Slice", nodes.add("Shape", name), nodes.whole(2), nodes.whole(3))
    return nodes.add("Reshape", name, nodes.add("Concat", nodes.whole(-1), length, axis=0))


def _block(form: Plain, x: str, mask: str, block: Any, config: EncoderConfig, layer: int, query: str) -> str:
    """Attention and feed-forward, each added to its input and normalised; of ``query`` alone, if given."""
    name, width = layer_part(layer), config.dim // config.n_heads
    heads = len(kept_heads(config, layer))
    attended = form.attend(x, mask, block.attention, name, heads=heads, width=width, query=query)
    out, ffn = block.attention.out_lin, block.ffn
    attended = form.product(attended, out, f"{name}.out")
    x = form.add_and_norm(attended, query or x, out.bias, block.sa_layer_norm, f"{name}.out")
    wide = form.activate(
        form.product(x, ffn.lin1, f"{name}.wide"), ffn.lin1.bias, config.activation, f"{name}.wide"
    )
    back = form.product(wide, ffn.lin2, f"{name}.back")
    return form.add_and_norm(back, x, ffn.lin2.bias, block.output_layer_norm, f"{name}.back")
