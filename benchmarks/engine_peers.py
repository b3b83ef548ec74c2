"""The engine's peers that live in our own environment: what people run today, each at its best."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from engine_models import LEARNT, PLACE
from measuring import peer, ragged_texts, say

from distilbert.core.machine import usable_cores

Array = np.ndarray[Any, np.dtype[Any]]

#: Strings to labels.
Answer = Callable[[Sequence[str]], list[str]]

BATCH = 32
#: Tokens of a batch, padding included, where it is cut by them.
BUDGET = 512


class Transformers:
    """Its pipeline, with sdpa.

    Args:
        folder: of a classifier.
        dtype: "float32" or "bfloat16".
    """

    def __init__(self, folder: Path, dtype: str) -> None:
        import torch

        self.pipeline = peer().pipeline(
            "text-classification",
            model=str(folder),
            device="cpu",
            truncation=True,
            dtype=getattr(torch, dtype),
        )
        self.tokenizer, self.model = self.pipeline.tokenizer, self.pipeline.model

    def ways(self) -> dict[str, Answer]:
        """How people batch."""
        return {
            "32 as they come": partial(self._labels, size=BATCH, by_length=False),
            "32 by length": partial(self._labels, size=BATCH, by_length=True),
            "one by one": partial(self._labels, size=1, by_length=False),
        }

    def _labels(self, texts: Sequence[str], size: int, by_length: bool) -> list[str]:
        order = list(range(len(texts)))
        if by_length:
            ids = self.tokenizer(list(texts), truncation=True)["input_ids"]
            order.sort(key=lambda i: len(ids[i]))
        found = dict(zip(order, self.pipeline([texts[i] for i in order], batch_size=size), strict=True))
        return [found[i]["label"] for i in range(len(texts))]

    def compute(self, ids: Array) -> None:
        """A batch without padding."""
        import torch

        given = torch.from_numpy(ids)
        with torch.inference_mode():
            self.model(input_ids=given, attention_mask=torch.ones_like(given))


class ByHand:
    """A graph that is fed by hand: texts are tokenised by the peer's tokenizer and padded. Abstract."""

    def __init__(self, folder: Path) -> None:
        transformers = peer()
        self._folder = folder
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        config = transformers.AutoConfig.from_pretrained(folder)
        self._names = config.id2label

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = self.tokenizer(list(texts), truncation=True)["input_ids"]
        return found

    def labels(
        self, texts: Sequence[str], batches: Callable[[list[list[int]]], Iterator[list[int]]]
    ) -> list[str]:
        """What it says of texts, in the batches that they are dealt into."""
        ids = self.ids(texts)
        found: dict[int, int] = {}
        dealt = list(batches(ids))
        given = (padded([ids[i] for i in batch]) for batch in dealt)
        for batch, logits in zip(dealt, self.several(given), strict=True):
            found.update(zip(batch, logits.argmax(-1).tolist(), strict=True))
        return [self._names[found[i]] for i in range(len(texts))]

    def label(self, text: str) -> str:
        """What it says of one text, which all cores compute."""
        return str(self._names[int(self.run(padded(self.ids([text]))).argmax())])

    def several(self, feeds: Iterator[dict[str, Array]]) -> list[Array]:
        """The logits of batch after batch."""
        return [self.run(feed) for feed in feeds]

    def run(self, feed: dict[str, Array]) -> Array:
        """The logits of a batch."""
        raise NotImplementedError

    def compute(self, ids: Array) -> None:
        """A batch without padding."""
        self.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})

    @cached_property
    def _model(self) -> Any:
        """The peer's, whose attention can be traced."""
        made = peer().AutoModelForSequenceClassification
        return made.from_pretrained(self._folder, attn_implementation="eager").eval()

    @property
    def _example(self) -> dict[str, Any]:
        import torch

        ids = torch.arange(2 * 16).reshape(2, 16)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class OnnxInt8(ByHand):
    """ONNX Runtime: the peer's own graph, fused by its optimiser, in 8 bits, dynamic and per channel."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        super().__init__(folder)
        file = PLACE / f"onnx-{folder.name}.onnx"
        if not file.exists():
            self._write(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(self, feed: dict[str, Array]) -> Array:
        logits: Array = self._session.run(None, feed)[0]
        return logits

    def _write(self, file: Path) -> None:
        import torch
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.transformers.optimizer import optimize_model

        plain, fused = file.with_suffix(".plain"), file.with_suffix(".fused")
        example = self._example
        torch.onnx.export(
            self._model,
            tuple(example.values()),
            str(plain),
            input_names=list(example),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in example} | {"logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        config = self._model.config
        made = optimize_model(
            str(plain), model_type="bert", num_heads=config.n_heads, hidden_size=config.dim, opt_level=0
        )
        made.save_model_to_file(str(fused))
        half = file.with_suffix(".half")
        quantize_dynamic(
            str(fused),
            str(half),
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Of what fused operators give, no type is inferred.
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        half.rename(file)
        for path in (plain, fused):
            path.unlink()


class OpenVinoInt8(ByHand):
    """OpenVINO: the peer's own model in 8 bits by NNCF, fed by whoever knows how: sorted, in batches of a
    budget of tokens, as many streams of one thread as there are cores, asynchronously.

    Beside the products it computes in bf16 where the processor has it, as it does by itself.
    """

    def __init__(self, folder: Path) -> None:
        import openvino

        super().__init__(folder)
        file = PLACE / f"openvino-{folder.name}.xml"
        if not file.exists():
            self._write(file)
        core, cores = openvino.Core(), usable_cores()
        graph = core.read_model(file)
        one = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": cores}
        several = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
        self._one = core.compile_model(graph, "CPU", one).create_infer_request()
        self._several = openvino.AsyncInferQueue(core.compile_model(graph, "CPU", several), cores)

    def run(self, feed: dict[str, Array]) -> Array:
        """By all cores together."""
        self._one.infer(feed, share_inputs=True)
        return np.array(self._one.output_tensors[0].data)

    def several(self, feeds: Iterator[dict[str, Array]]) -> list[Array]:
        found: dict[int, Array] = {}

        def keep(request: Any, number: int) -> None:
            found[number] = np.array(request.output_tensors[0].data)

        self._several.set_callback(keep)
        for number, feed in enumerate(feeds):
            self._several.start_async(feed, number, share_inputs=False)
        self._several.wait_all()
        return [found[number] for number in range(len(found))]

    def _write(self, file: Path) -> None:
        say("a peer's ranges are set by NNCF")
        os.environ.setdefault("NNCF_CI", "1")  # its makers are told of no use
        import nncf
        import openvino

        graph = openvino.convert_model(self._model, example_input=self._example)
        feeds = [padded([own]) for own in self.ids(ragged_texts(1.0, LEARNT))]
        made = nncf.quantize(
            graph, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds)
        )
        openvino.save_model(made, file, compress_to_fp16=False)


def by_length(ids: list[list[int]]) -> Iterator[list[int]]:
    """Batches of 32, by length."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    return (order[at : at + BATCH] for at in range(0, len(order), BATCH))


def one_by_one(ids: list[list[int]]) -> Iterator[list[int]]:
    return ([i] for i in range(len(ids)))


def by_budget(ids: list[list[int]]) -> Iterator[list[int]]:
    """By length, the longest first, as many as have so many tokens with their padding."""
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    at = 0
    while at < len(order):
        count = max(1, BUDGET // len(ids[order[at]]))
        yield order[at : at + count]
        at += count


def padded(ids: Sequence[Sequence[int]]) -> dict[str, Array]:
    longest = max(map(len, ids))
    made = {name: np.zeros((len(ids), longest), np.int64) for name in ("input_ids", "attention_mask")}
    for i, own in enumerate(ids):
        made["input_ids"][i, : len(own)] = own
        made["attention_mask"][i, : len(own)] = 1
    return made
