"""Batches through OpenVINO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array

#: What a graph's files are called, by programs that look for them, too; and the graph as it was compiled.
FILE, WEIGHTS_FILE, COMPILED_FILE = "openvino_model.xml", "openvino_model.bin", "openvino_model.blob"

#: Of what it makes for each shape of a batch and each operation, how much it keeps. With its usual 5000 the
#: process of a small model grew by 15% over 100,000 short rows on two cores of an AMD EPYC, with these by 7%,
#: and was as fast.
_KEPT = 256

#: What is computed beside products of whole numbers, by a runtime's precision.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32", "int8+bf16": "bf16"}


@dataclass(frozen=True)
class OpenVino:
    """A compiled model, and for each stream a request, which holds what the stream computes in."""

    compiled: Any
    streams: int
    precision: str = "fp32"
    _free: "SimpleQueue[Any]" = field(default_factory=SimpleQueue, repr=False)

    name: ClassVar[str] = "openvino"

    @classmethod
    def open(cls, model: Model, *, precision: str = "fp32", streams: int, threads: int) -> Self:
        content = model.graph("plain").bytes()
        return cls.of_graph(read_graph(content), precision=precision, streams=streams, threads=threads)

    @classmethod
    def of_files(cls, folder: Path, *, precision: str, streams: int, threads: int) -> Self:
        import openvino

        settings = _settings(precision, streams, threads)
        content = (folder / COMPILED_FILE).read_bytes()
        return cls._ready(openvino.Core().import_model(content, "CPU", settings), streams, precision)

    @classmethod
    def of_graph(cls, graph: Any, *, precision: str = "fp32", streams: int, threads: int) -> Self:
        """From a graph of OpenVINO's."""
        import openvino

        settings = _settings(precision, streams, threads)
        return cls._ready(openvino.Core().compile_model(graph, "CPU", settings), streams, precision)

    @classmethod
    def _ready(cls, compiled: Any, streams: int, precision: str) -> Self:
        _know_types()
        opened = cls(compiled, streams, precision)
        for _ in range(streams):
            opened._free.put(compiled.create_infer_request())
        return opened

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        request = self._free.get()
        try:
            request.infer(dict(feed), share_inputs=True)
            # What it gives lies in its own memory, where the next batch is computed.
            return [np.array(tensor.data) for tensor in request.output_tensors]
        finally:
            self._free.put(request)


#: Held by whoever has OpenVINO look up its types.
_LOOKING = Lock()


def _know_types() -> None:
    """Have OpenVINO look up numpy's types once, by one thread.

    Two threads whose first batches do so at once wait for each other for good: the one holds what
    guards the table and wants Python's lock, the other the reverse.
    """
    import openvino

    with _LOOKING:
        openvino.Type.f32.to_dtype()


def read_graph(content: bytes) -> Any:
    """A graph of OpenVINO's, from an ONNX file of standard operators."""
    import openvino

    return openvino.Core().read_model(content)


def write_graph(folder: Path, graph: Any, compiled: Any = None) -> None:
    """A graph's files, and what was compiled of it."""
    import openvino

    openvino.save_model(graph, folder / FILE, compress_to_fp16=False)
    if compiled is not None:
        (folder / COMPILED_FILE).write_bytes(compiled.export_model().getvalue())


def _settings(precision: str, streams: int, threads: int) -> dict[str, Any]:
    return {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        # Left to itself it computes in bf16 where the processor has it.
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "CPU_RUNTIME_CACHE_CAPACITY": _KEPT,
    }
