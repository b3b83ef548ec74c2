"""Batches through OpenVINO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array


@dataclass(frozen=True)
class OpenVino:
    """A compiled model, and for each stream a request, which holds what the stream computes in."""

    compiled: Any
    streams: int
    _free: "SimpleQueue[Any]" = field(default_factory=SimpleQueue, repr=False)

    name: ClassVar[str] = "openvino"

    @classmethod
    def open(cls, model: Model, *, streams: int, threads: int) -> Self:
        return cls.of_file(model.graph("plain").bytes(), streams=streams, threads=threads)

    @classmethod
    def of_file(cls, content: bytes, *, streams: int, threads: int) -> Self:
        """From the content of an ONNX file of standard operators."""
        import openvino

        settings = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads,
            # Left to itself it computes in bf16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        core = openvino.Core()
        opened = cls(core.compile_model(core.read_model(content), "CPU", settings), streams)
        for _ in range(streams):
            opened._free.put(opened.compiled.create_infer_request())
        return opened

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        request = self._free.get()
        try:
            request.infer(dict(feed), share_inputs=True)
            # What it gives lies in its own memory, where the next batch is computed.
            return [np.array(tensor.data) for tensor in request.output_tensors]
        finally:
            self._free.put(request)
