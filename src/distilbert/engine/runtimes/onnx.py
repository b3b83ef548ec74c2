"""Batches through ONNX Runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array


@dataclass(frozen=True)
class OnnxRuntime:
    """One session, which all streams call: its weights are there once."""

    session: Any
    streams: int

    name: ClassVar[str] = "onnx"

    @classmethod
    def open(cls, model: Model, *, streams: int, threads: int) -> Self:
        return cls.of_file(model.graph("fused").bytes(), streams=streams, threads=threads)

    @classmethod
    def of_file(cls, content: bytes, *, streams: int, threads: int) -> Self:
        """From the content of an ONNX file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # With one thread a batch is computed by whoever asks for it: a stream is a thread of the caller's.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Both keep memory for every shape that there was, and texts come in many.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return cls(session, streams)

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        outputs: Sequence[Array] = self.session.run(None, dict(feed))
        return outputs
