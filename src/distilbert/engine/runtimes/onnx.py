"""Batches through ONNX Runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array

#: What a graph's file is called, by programs that look for one, too.
FILE = "model.onnx"


@dataclass(frozen=True)
class OnnxRuntime:
    """One session, which all streams call: its weights are there once."""

    session: Any
    streams: int
    precision: str = "fp32"

    name: ClassVar[str] = "onnx"

    @classmethod
    def open(cls, model: Model, *, precision: str = "fp32", streams: int, threads: int) -> Self:
        content = model.graph("fused").bytes()
        return cls.of_file(content, precision=precision, streams=streams, threads=threads)

    @classmethod
    def of_files(cls, folder: Path, *, precision: str, streams: int, threads: int) -> Self:
        return cls.of_file(str(folder / FILE), precision=precision, streams=streams, threads=threads)

    @classmethod
    def of_file(cls, file: bytes | str, *, precision: str = "fp32", streams: int, threads: int) -> Self:
        """From an ONNX file, or the content of one."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # With one thread a batch is computed by whoever asks for it: a stream is a thread of the caller's.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Both keep memory for every shape that there was, and texts come in many.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return cls(session, streams, precision)

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        outputs: Sequence[Array] = self.session.run(None, dict(feed))
        return outputs
