"""A model of the JAX wing with the weights of one of PyTorch's, and the other way round."""

import os
from typing import Any

import numpy as np
import torch

# Read when JAX is loaded: the tests are of the processor.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

#: Two frameworks' fp32, both rounding as they like.
ATOL = 2e-5


def twin_of(model: Any, **kinds: Any) -> Any:
    """The class of the same name in the JAX wing, with the same weights."""
    import distilbert.jax as wing

    twin = getattr(wing, type(model).__name__)(model.config, _do_init=False, **kinds)
    twin.assign(model.arrays())
    return twin


def numbers(x: Any) -> np.ndarray:
    """An array of either framework."""
    return x.detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def difference(ours: Any, theirs: Any, live: Any = None) -> float:
    """The largest absolute difference, over live positions only where they are given."""
    apart = np.abs(numbers(ours) - numbers(theirs))
    if live is not None:
        apart = apart[numbers(live).astype(bool)]
    return float(apart.max()) if apart.size else 0.0


def gradients(model: Any, state: Any) -> dict[str, np.ndarray]:
    """The gradients of a twin, by key, as files hold parameters."""
    from flax import nnx

    from distilbert.jax.loading import places, published

    flat = {"/".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(state)}
    own = places(model.manifest)
    return {key: published(flat[place.name].get_value(), place) for key, place in own.items()}
