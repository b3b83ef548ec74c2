"""A graph of OpenVINO's in whole numbers, whose ranges are set by what real texts make of it."""

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from distilbert.core.machine import has_dot_products
from distilbert.engine.nodes import EMBEDDINGS, HEAD
from distilbert.engine.runtimes.runtime import Array

#: What stands between a product and the states that it reads, and changes no number of them.
_MOVES = ("Reshape", "Transpose")


def quantized(
    graph: Any,
    feeds: Sequence[Mapping[str, Array]],
    exact: Collection[str] = (),
    *,
    read: Callable[[int], None] = lambda count: None,
) -> Any:
    """The same graph with products of 8 bits, by NNCF's scheme for transformers.

    Args:
        graph: of OpenVINO's, in fp32, whose nodes are named by the part of the model that they are of.
        feeds: batches of real texts.
        exact: parts that stay in fp32; heads, and what is done to the tables of words, do in any case.
        read: told how many batches have been read, which happens twice.
    """
    # It tells its makers of every use unless it takes itself to be tested; what users do is theirs.
    os.environ.setdefault("NNCF_CI", "1")
    import nncf

    # Its own function would set the level of every handler too, whoever has put it there.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    fix = nncf.OverflowFix.DISABLE if has_dot_products() else nncf.OverflowFix.ENABLE
    with redirect_stdout(StringIO()):  # it draws there
        return nncf.quantize(
            graph,
            nncf.Dataset(_Told(feeds, read)),
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(
                patterns=[f"{part}/.*" for part in (EMBEDDINGS, HEAD, *sorted(exact))], validate=False
            ),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
        )


def released(graph: Any, part: str) -> Any:
    """A copy of what ``quantized`` made, in which what a part's products read is not taken to 8 bits."""
    copy = graph.clone()
    for node in copy.get_ordered_ops():
        if node.get_type_name() == "MatMul" and node.get_friendly_name().startswith(f"{part}/"):
            for entry in node.inputs():
                _release(entry)
    return copy


def _release(entry: Any) -> None:
    source = entry.get_source_output().get_node()
    if source.get_type_name() == "FakeQuantize":
        entry.replace_source_output(source.input_value(0))
    elif source.get_type_name() in _MOVES:
        _release(source.input(0))


class _Told:
    """Batches whose reading is told of."""

    def __init__(self, feeds: Sequence[Mapping[str, Array]], read: Callable[[int], None]) -> None:
        self._feeds, self._read = feeds, read

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for count, feed in enumerate(self._feeds):
            self._read(count)
            yield dict(feed)
