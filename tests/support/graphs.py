"""Models as graphs, and what runtimes make of them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import scatter

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Head
from distilbert.engine.graph import build, input_names
from distilbert.torch import auto
from distilbert.torch.tensors import as_array

CLASSES = {
    Head.NONE: auto.AutoModel,
    Head.MASKED_LM: auto.AutoModelForMaskedLM,
    Head.SEQUENCE_CLASSIFICATION: auto.AutoModelForSequenceClassification,
    Head.MULTIPLE_CHOICE: auto.AutoModelForMultipleChoice,
    Head.TOKEN_CLASSIFICATION: auto.AutoModelForTokenClassification,
    Head.QUESTION_ANSWERING: auto.AutoModelForQuestionAnswering,
}


def model_with(config: EncoderConfig, head: Head) -> Any:
    """A PyTorch model in eval mode whose every part matters."""
    return scatter(CLASSES[head].from_config(config))


def arrays_of(model: torch.nn.Module) -> dict[str, Any]:
    return {key: as_array(tensor) for key, tensor in model.state_dict().items()}


@torch.no_grad()
def said(model: Any, head: Head, ids: torch.Tensor, mask: torch.Tensor, types: Any = None) -> list[Any]:
    """What PyTorch's model gives, in the shapes of a graph's outputs."""
    if head is Head.MULTIPLE_CHOICE:
        types = None if types is None else types[None]
        return [model(ids[None], mask[None], token_type_ids=types).logits[0][:, None].numpy()]
    output = model(ids, mask, token_type_ids=types)
    if head is Head.QUESTION_ANSWERING:
        return [output.start_logits.numpy(), output.end_logits.numpy()]
    return [output[0].numpy()]


def feed(config: EncoderConfig, ids: torch.Tensor, mask: torch.Tensor, types: Any = None) -> dict[str, Any]:
    """The same batch as a graph takes it."""
    types = torch.zeros_like(ids) if types is None else types
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: given[name].numpy() for name in input_names(config)}


def computed(graph: Any, given: Mapping[str, Any]) -> list[Any]:
    """What ONNX Runtime makes of a graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.bytes(), options).run(None, dict(given))


def apart(ours: list[Any], theirs: list[Any], mask: torch.Tensor) -> float:
    """The largest difference at live positions."""
    live = mask.numpy().astype(bool)
    found = 0.0
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        difference = np.abs(one - other)
        found = max(
            found, float((difference[live] if difference.shape[:2] == live.shape else difference).max())
        )
    return found


def operators(graph: Any) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def kept_operators(graph: Any, folder: Path) -> Counter[str]:
    """Those that ONNX Runtime's optimiser leaves."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3  # it says that such a file is for this machine only
    onnxruntime.InferenceSession(graph.bytes(), options)
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


__all__ = [
    "CLASSES", "Head", "apart", "arrays_of", "build", "computed", "feed", "kept_operators", "model_with",
    "operators", "said",
]  # fmt: skip
