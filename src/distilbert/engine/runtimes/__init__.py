"""What computes a model: arrays in, arrays out. The arithmetic is that of libraries."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from distilbert.core.machine import usable_cores
from distilbert.engine.artefacts import find
from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Computing, Runtime
from distilbert.engine.runtimes.workers import Workers
from distilbert.errors import ConfigError, MissingExtraError

#: By name: the class in the file of that name, the package that it needs, and the extra that installs it;
#: in the order in which "auto" looks for them.
RUNTIMES = {
    "onnx": ("OnnxRuntime", "onnxruntime", "runtime"),
    "openvino": ("OpenVino", "openvino", "openvino"),
    "torch": ("Torch", "torch", "torch"),
}


def open_runtime(
    model: Model,
    name: str = "auto",
    *,
    streams: int | None = None,
    threads: int | None = None,
    workers: int | None = None,
) -> Computing:
    """A model, ready to compute.

    Args:
        model: what to compute.
        name: one of ``RUNTIMES``, in fp32; "auto" is what was optimised and verified for this machine, else
            the first that is installed.
        streams: batches that are computed at once; None is one for each core.
        threads: that share a batch; None deals the cores out among the streams.
        workers: processes that compute, each with such streams; None computes in this one.

    Raises:
        CheckpointError: the weights are damaged.
        ConfigError: no such runtime.
        MissingExtraError: it is not installed.
    """
    if name != "auto" and name not in RUNTIMES:
        raise ConfigError(
            f"A runtime is auto, or one of {', '.join(RUNTIMES)}.",
            received=f"runtime={name!r:.40}",
            remedy="Choose auto.",
        )
    if workers is not None:
        streams, threads = shared_out(streams, threads, cores=max(1, usable_cores() // workers))
        return Workers(model, name, workers=workers, streams=streams, threads=threads)
    kept = find(model) if name == "auto" else None
    if kept is not None:
        name = kept.runtime
    elif name == "auto":
        name = next((known for known, (_, package, _) in RUNTIMES.items() if find_spec(package)), "onnx")
    streams, threads = shared_out(streams, threads)
    made, ways = runtime_class(name), {"streams": streams, "threads": threads}
    opened: Runtime
    if kept is not None and kept.files:
        opened = made.of_files(kept.folder, precision=kept.precision, **ways)
    else:
        opened = made.open(model, precision="fp32" if kept is None else kept.precision, **ways)
    return opened


def runtime_class(name: str) -> Any:
    """What computes, by its name in ``RUNTIMES``.

    Raises:
        MissingExtraError: it is not installed.
    """
    kind, package, extra = RUNTIMES[name]
    if find_spec(package) is None:
        raise MissingExtraError.of(extra, wanted=f"The runtime {name}", missing=package)
    return getattr(import_module(f"distilbert.engine.runtimes.{name}"), kind)


def shared_out(
    streams: int | None = None, threads: int | None = None, *, cores: int | None = None
) -> tuple[int, int]:
    """How many batches are computed at once, and how many threads share one; by the cores, if not said."""
    cores = cores or usable_cores()
    streams = streams or max(1, cores // (threads or 1))
    return streams, threads or max(1, cores // streams)
