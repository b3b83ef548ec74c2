"""A model over several devices: virtual ones of the processor, in a process of their own."""

import os
import subprocess
import sys

import pytest

from distilbert.core.config import DistilBertConfig

pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

#: Of six heads two devices hold three each; the fourth part of them is none.
CONFIG = DistilBertConfig(
    vocab_size=60, max_position_embeddings=16, n_layers=1, n_heads=6, dim=24, hidden_dim=32, dropout=0.0,
    attention_dropout=0.0,
)  # fmt: skip

CODE = """
import jax, numpy as np
from flax import nnx
from jax.sharding import AxisType
from distilbert import DistilBertConfig
from distilbert.errors import ConfigError
from distilbert.jax import DistilBertForMaskedLM
from distilbert.jax.loading import places
from distilbert.jax.sharded import shard, spread

assert len(jax.devices()) == 4
model = DistilBertForMaskedLM(DistilBertConfig.from_dict(CONFIG), seed=1)
ids = np.random.default_rng(0).integers(1, 60, (4, 8))
mask = (np.arange(8) < np.array([[8], [3], [1], [5]])).astype(int)
step = nnx.jit(nnx.value_and_grad(lambda model, ids, mask: model(ids, mask, labels=ids).loss))
alone, slopes = step(model, ids, mask)
slopes = [np.asarray(x) for x in jax.tree.leaves(slopes)]

mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
shard(model, mesh)
leaves = model._leaves()
own = places(model.manifest)
split = {key: leaf for key, leaf in leaves.items() if not leaf.sharding.is_fully_replicated}
shapes = {key: leaf.sharding.shard_shape(leaf.shape) for key, leaf in split.items()}
sizes = sorted(set(shapes.values()))
# Words by their rows, heads and neurons by whichever axis counts them.
assert sizes == [(12,), (12, 24), (16,), (16, 24), (24, 12), (24, 16), (30,), (30, 24)], sizes
batch = spread({"ids": ids, "mask": mask}, mesh)
assert batch["ids"].sharding.shard_shape((4, 8)) == (2, 8)
together, others = step(model, batch["ids"], batch["mask"])
assert abs(float(alone) - float(together)) < 1e-5
for one, other in zip(slopes, jax.tree.leaves(others)):
    np.testing.assert_allclose(np.asarray(other), one, atol=2e-5)
# A call is one computation over the devices too, as its batch lies.
called = model(batch["ids"], batch["mask"]).logits
assert len(called.sharding.device_set) == 4
for wrong in (
    lambda: shard(model, mesh, axis="heads"),
    lambda: shard(model, jax.make_mesh((4,), ("model",))),
    lambda: spread(ids[:3], mesh),
):
    try:
        wrong()
    except ConfigError as error:
        print(error)
"""


def test_several_devices_give_the_loss_and_the_gradients_of_one() -> None:
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    code = f"CONFIG = {CONFIG.to_dict()!r}\n{CODE}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()
    assert "one of the mesh's" in said[0]
    assert "axis='heads'" in said[0]
    assert "axis_types=(AxisType.Auto,)" in said[1]
    assert "3 rows for 2 devices" in said[2]
