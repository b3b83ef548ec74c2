"""What a model is exported to answers without this package: a SavedModel, and files of LiteRT."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_twins import ATOL, difference, numbers, twin_of
from tiny import ragged, tiny

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install tensorflow")

IDS, MASK = (numbers(x).astype(np.int32) for x in ragged("DistilBertModel", 4, 8))
BATCH = {"input_ids": IDS, "attention_mask": MASK}

CODE = """
import sys
sys.modules["distilbert"] = None
import numpy as np, tensorflow as tf
folder = sys.argv[1]
batch = {name: tf.constant(x) for name, x in np.load(f"{folder}/batch.npz").items()}
saved = tf.saved_model.load(f"{folder}/saved")
answers = saved.signatures["serving_default"](**batch)
np.savez(f"{folder}/answers.npz", **{name: x.numpy() for name, x in answers.items()})
"""


@pytest.mark.parametrize("head", ["ForSequenceClassification", "ForQuestionAnswering"])
def test_a_saved_model_needs_tensorflow_alone(head: str, tmp_path: Path) -> None:
    twin = twin_of(tiny(f"DistilBert{head}", n_layers=1, attention_dropout=0.1))
    twin.export(tmp_path / "saved", verbose=False)
    np.savez(tmp_path / "batch.npz", **BATCH)
    done = subprocess.run([sys.executable, "-c", CODE, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found, told, blind = np.load(tmp_path / "answers.npz"), twin(BATCH), twin(IDS)
    assert sorted(found) == sorted(told)
    for name, answer in told.items():
        assert difference(found[name], answer) <= ATOL, name
        assert difference(found[name], blind[name]) > 10 * ATOL, name  # without the mask


@pytest.mark.parametrize(("how", "tolerance"), [({}, ATOL), ({"optimizations": ["DEFAULT"]}, 0.1)])
def test_a_file_of_litert_answers_alike(how: dict, tolerance: float, tmp_path: Path) -> None:
    """In floats, and with the weights of 8 bits, whose step is 1/127 of each row's largest number."""
    twin = twin_of(tiny("DistilBertForSequenceClassification", n_layers=1))
    spec = {name: keras.InputSpec(shape=(4, 8), dtype="int32", name=name) for name in BATCH}
    how = {name: [getattr(tf.lite.Optimize, x) for x in chosen] for name, chosen in how.items()}
    file = tmp_path / "model.tflite"
    twin.export(file, format="litert", input_signature=[spec], verbose=False, **how)
    interpreter = tf.lite.Interpreter(str(file))
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        name = "attention_mask" if "attention_mask" in detail["name"] else "input_ids"
        interpreter.set_tensor(detail["index"], BATCH[name])
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    told = numbers(twin(BATCH).logits)
    assert difference(found, told) <= tolerance
    assert difference(found, twin(IDS).logits) > 3 * tolerance  # without the mask
    kinds = {np.dtype(detail["dtype"]).name for detail in interpreter.get_tensor_details()}
    assert ("int8" in kinds) == bool(how)
