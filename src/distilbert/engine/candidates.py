"""Ways to compute a model that may be faster: by runtime and precision, with parts that stay in fp32."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distilbert.core.machine import has_dot_products, has_fast_bfloat16
from distilbert.core.progress import Progress, silent
from distilbert.engine.integers import MOST, MOST_WITHOUT_DOT_PRODUCTS, Integers, WholeWords
from distilbert.engine.model import Model
from distilbert.engine.nodes import EMBEDDINGS, layer_part
from distilbert.engine.runtimes import runtime_class
from distilbert.engine.runtimes.runtime import Array, Runtime

#: What can be tried, by runtime, the surest first.
WAYS = {"onnx": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8", "int8+bf16")}


@dataclass(frozen=True)
class Candidate:
    """A model made ready in one way.

    Attributes:
        open: has it computed, given ``streams`` and ``threads``.
        write: writes the files of what was opened into a folder; None where it is made of the model's weights
            whenever it is opened.
    """

    open: Callable[..., Runtime]
    write: Callable[[Path, Any], None] | None = None


@dataclass(frozen=True)
class Way:
    """How candidates of one kind are made.

    Attributes:
        runtime: that computes.
        precision: in which it does.
        make: a candidate, given the parts that are to stay in fp32.
        parts: that may stay so; none where nothing is in whole numbers.
        spare: a candidate that shows what one part is to blame for, where there is a quicker one than that
            with this part in fp32.
    """

    runtime: str
    precision: str
    make: Callable[[Collection[str]], Candidate]
    parts: tuple[str, ...] = ()
    spare: Callable[[str], Candidate] | None = None

    @property
    def name(self) -> str:
        return f"{self.runtime} {self.precision}"


def without(runtime: str, precision: str) -> str:
    """Why a way cannot be gone here, in words; empty where it can."""
    if find_spec({"onnx": "onnxruntime"}.get(runtime, runtime)) is None:
        return f"needs pip install 'distilbert[{'runtime' if runtime == 'onnx' else runtime}]'"
    if "bf16" in precision and not has_fast_bfloat16():
        return "this processor multiplies bfloat16 no faster than fp32"
    if runtime == "openvino" and "int8" in precision and find_spec("nncf") is None:
        return "needs pip install 'distilbert[optimize]'"
    return ""


def ways(
    model: Model,
    feeds: Sequence[Mapping[str, Array]],
    runtimes: Collection[str],
    *,
    progress: Progress = silent,
) -> list[Way]:
    """The ways that can be gone on this machine, each runtime's surest first.

    Args:
        model: what to compute.
        feeds: batches of real texts, by which ranges are set.
        runtimes: names in ``WAYS``.
        progress: told of batches that are read.
    """
    parts = (EMBEDDINGS, *map(layer_part, range(model.config.n_layers)))
    quantized = _Quantized(model, feeds, progress)
    found = []
    for runtime in runtimes:
        for precision in WAYS[runtime]:
            if without(runtime, precision):
                continue
            if "int8" not in precision:
                found.append(Way(runtime, precision, partial(_plain, model, runtime, precision)))
            elif runtime == "onnx":
                found.append(Way(runtime, precision, partial(_integers, model), parts))
            else:
                # Tables of words are read by no product, and have a scale for each: they are not to blame.
                made = partial(quantized.candidate, precision), partial(quantized.spared, precision)
                found.append(Way(runtime, precision, made[0], parts[1:], made[1]))
    return found


def _plain(model: Model, runtime: str, precision: str, exact: Collection[str] = ()) -> Candidate:
    return Candidate(partial(runtime_class(runtime).open, model, precision=precision))


def _integers(model: Model, exact: Collection[str]) -> Candidate:
    """ONNX Runtime's whole numbers, which need no calibration."""
    from distilbert.engine.runtimes.onnx import FILE, OnnxRuntime

    most = MOST if has_dot_products() else MOST_WITHOUT_DOT_PRODUCTS
    content = model.graph(partial(Integers, exact=exact, most=most)).bytes()

    def write(folder: Path, opened: Any) -> None:
        (folder / FILE).write_bytes(content)

    return Candidate(partial(OnnxRuntime.of_file, content, precision="int8"), write)


class _Quantized:
    """OpenVINO's, calibrated by NNCF, once for each choice of parts that stay in fp32."""

    def __init__(self, model: Model, feeds: Sequence[Mapping[str, Array]], progress: Progress) -> None:
        self._model, self._feeds, self._progress = model, feeds, progress
        self._made: dict[frozenset[str], Any] = {}

    def candidate(self, precision: str, exact: Collection[str]) -> Candidate:
        from distilbert.engine.runtimes.openvino import OpenVino, write_graph

        graph = self._graph(exact)

        def write(folder: Path, opened: Any) -> None:
            write_graph(folder, graph, opened.compiled)

        return Candidate(partial(OpenVino.of_graph, graph, precision=precision), write)

    def spared(self, precision: str, part: str) -> Candidate:
        from distilbert.engine.quantizing import released
        from distilbert.engine.runtimes.openvino import OpenVino

        return Candidate(partial(OpenVino.of_graph, released(self._graph(()), part), precision=precision))

    def _graph(self, exact: Collection[str]) -> Any:
        from distilbert.engine.quantizing import quantized
        from distilbert.engine.runtimes.openvino import read_graph

        key = frozenset(exact)
        if key not in self._made:
            stage, count = "set ranges", len(self._feeds)
            plain = read_graph(self._model.graph(WholeWords).bytes())
            self._made[key] = quantized(
                plain, self._feeds, exact, read=lambda done: self._progress(stage, done, count, {})
            )
            self._progress(stage, count, count, {})
        return self._made[key]
