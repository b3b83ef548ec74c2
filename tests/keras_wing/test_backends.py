"""The Keras wing on Keras' other backends, which are chosen when it is loaded: in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from keras_twins import ATOL
from tiny import ragged, tiny

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

CODE = """
import sys
import keras, numpy as np
from distilbert.errors import DataError
from distilbert.keras import TFDistilBertForTokenClassification

folder, backend = sys.argv[1:]
assert keras.backend.backend() == backend
assert backend == "tensorflow" or "tensorflow" not in sys.modules
data = np.load(f"{folder}/data.npz")
model = TFDistilBertForTokenClassification.from_pretrained(folder, seed=0)
batch = {"input_ids": data["ids"], "attention_mask": data["mask"]}
shown = {"output_attentions": True, "output_hidden_states": True}
found = model(batch, labels=data["labels"], **shown)
assert list(found) == ["loss", "logits", "hidden_states", "attentions"]
np.testing.assert_allclose(keras.ops.convert_to_numpy(found.loss), data["loss"], atol=2e-5)
np.testing.assert_allclose(keras.ops.convert_to_numpy(found.logits), data["logits"], atol=2e-5)
model.set_attention("dot_product_attention")
np.testing.assert_allclose(model.predict(batch, verbose=0).logits, data["logits"], atol=2e-5)
model.set_attention("eager")
try:
    model(data["ids"] * 60)
    raise AssertionError
except DataError as error:
    assert "in the vocabulary" in str(error)
# One step of plain gradient descent is PyTorch's, with blocks that are computed again, too.
model.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
model.gradient_checkpointing_enable()
told = model.fit(batch, data["labels"], batch_size=len(data["ids"]), epochs=1, verbose=0).history
np.testing.assert_allclose(told["loss"][0], data["loss"], atol=2e-5)
model.save_pretrained(f"{folder}/trained")
model.save(f"{folder}/trained.keras")
if backend == "jax":
    import distilbert.jax.pytrees  # both wings in one process
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_answers_and_learns_as_torch_does(backend: str, tmp_path: Path) -> None:
    model = tiny("DistilBertForTokenClassification", n_layers=1)
    ids, mask = ragged("DistilBertForTokenClassification", 3, 9)
    labels = ids % 2
    with torch.no_grad():
        told = model(ids, mask, labels=labels)
    named = {"ids": ids, "mask": mask, "labels": labels, "loss": told.loss, "logits": told.logits}
    model.save_pretrained(tmp_path)
    np.savez(tmp_path / "data.npz", **{name: x.numpy() for name, x in named.items()})
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path, backend],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(ids, mask, labels=labels).loss.backward()
    optimiser.step()
    trained = type(model).from_pretrained(tmp_path / "trained").arrays()
    for key, array in model.arrays().items():
        assert np.abs(array - trained[key]).max() <= ATOL, key
    kept = keras.saving.load_model(tmp_path / "trained.keras")  # by TensorFlow
    for key, array in trained.items():
        np.testing.assert_array_equal(kept.arrays()[key], array, err_msg=key)


SHARED = """
import sys
import keras, numpy as np

folder, backend = sys.argv[1:]
if backend == "jax":
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices()))
    assert len(keras.distribution.list_devices()) == 2
    import contextlib
    scope = contextlib.nullcontext()
else:
    import tensorflow as tf
    place = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(place, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    scope = strategy.scope()
from distilbert.keras import TFDistilBertForSequenceClassification

data = np.load(f"{folder}/data.npz")
with scope:
    model = TFDistilBertForSequenceClassification.from_pretrained(folder, seed=0)
    model.compile(keras.optimizers.SGD(0.1))
batch = {"input_ids": data["ids"], "attention_mask": data["mask"]}
told = model.fit(batch, data["labels"], batch_size=len(data["ids"]), verbose=0).history
np.testing.assert_allclose(told["loss"][0], data["loss"], atol=2e-5)
model.save_pretrained(f"{folder}/trained")
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_step_shared_by_two_devices_is_the_same_step(backend: str, tmp_path: Path) -> None:
    """By MirroredStrategy of TensorFlow's, and by Keras' distribution on JAX."""
    model = tiny("DistilBertForSequenceClassification", n_layers=1)
    ids, mask = ragged("DistilBertForSequenceClassification", 4, 9)
    labels = torch.tensor([0, 1, 1, 0])
    model.save_pretrained(tmp_path)
    loss = model(ids, mask, labels=labels).loss
    named = {"ids": ids, "mask": mask, "labels": labels, "loss": loss.detach()}
    np.savez(tmp_path / "data.npz", **{name: x.numpy() for name, x in named.items()})
    environment = {
        **os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SHARED, tmp_path, backend],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    loss.backward()
    optimiser.step()
    trained = type(model).from_pretrained(tmp_path / "trained").arrays()
    for key, array in model.arrays().items():
        assert np.abs(array - trained[key]).max() <= ATOL, key
