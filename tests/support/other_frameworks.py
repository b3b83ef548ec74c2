"""The peer's TensorFlow and Flax models, and what they answer."""

import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

# Read when the frameworks are loaded: Keras 2, which is the peer's, on the processor, in silence.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

#: The kind of file that each framework writes, and its name in the peer's classes.
FRAMEWORKS = {"h5": "TF", "msgpack": "Flax"}


def tensorflow() -> ModuleType:
    """TensorFlow with the Keras that the peer needs, or a skip that says what is missing."""
    pytest.importorskip("tf_keras", reason="tf_keras is not installed: pip install tf_keras")
    return pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install tensorflow")


def peer_class(name: str, framework: str) -> Any:
    """The peer's class of this name in ``TF`` or ``Flax``."""
    if framework == "TF":
        tensorflow()
    else:
        pytest.importorskip("flax", reason="Flax is not installed: pip install flax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of their own futures
        import transformers

        transformers.logging.set_verbosity_error()
        return getattr(transformers, framework + name)


def load_peer(name: str, framework: str, folder: Path, **more: Any) -> Any:
    """The peer's model from a folder, all of whose weights must be there."""
    kind = peer_class(name, framework)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if framework == "Flax":
            model = kind.from_pretrained(folder, **more)
            assert not model._missing_keys, model._missing_keys
            return model
        model, report = kind.from_pretrained(folder, output_loading_info=True, **more)
    # Dropouts are layers to it too, without weights.
    lacking = [key for key in report["missing_keys"] if not key.startswith("dropout")]
    assert not lacking, lacking
    # PyTorch's files name what is tied, too.
    assert more.get("from_pt") or not report["unexpected_keys"], report["unexpected_keys"]
    return model


def answer(model: Any, ids: np.ndarray) -> np.ndarray:
    """The first output: logits, or the last hidden states."""
    ids = ids.astype(np.int32)
    out = model(ids) if "Flax" in type(model).__name__ else model(input_ids=ids)
    return np.asarray(out[0])
