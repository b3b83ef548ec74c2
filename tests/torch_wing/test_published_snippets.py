"""The PyTorch snippets of DistilBERT's page and of its classes, as they are published: ``transformers`` is
``distilbert`` in their imports, and their names of models are folders. Nothing else is changed.
"""
# ruff: noqa: E501  # a snippet's lines are as long as they were published

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny, tokenizers

import distilbert

BASE = "distilbert-base-uncased"

SNIPPETS = {
    "usage example": """
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(
    "distilbert/distilbert-base-uncased",
)
model = AutoModelForMaskedLM.from_pretrained(
    "distilbert/distilbert-base-uncased",
    dtype=torch.float16,
    device_map="auto",
    attn_implementation="sdpa"
)
inputs = tokenizer("the capital of france is [MASK].", return_tensors="pt").to(model.device)

with torch.no_grad():
    outputs = model(**inputs)
    predictions = outputs.logits

masked_index = torch.where(inputs['input_ids'] == tokenizer.mask_token_id)[1]
predicted_token_id = predictions[0, masked_index].argmax(dim=-1)
predicted_token = tokenizer.decode(predicted_token_id)

print(f"The predicted token is: {predicted_token}")
""",
    "attention": """
import torch
from transformers import AutoTokenizer, AutoModel

device = "cpu" # the device to load the model onto

tokenizer = AutoTokenizer.from_pretrained('distilbert/distilbert-base-uncased')
model = AutoModel.from_pretrained("distilbert/distilbert-base-uncased", dtype=torch.float16, attn_implementation="sdpa")

text = "Replace me by any text you'd like."

encoded_input = tokenizer(text, return_tensors='pt').to(device)
model.to(device)

output = model(**encoded_input)
outputs = output
""",
    "configuration": """
from transformers import DistilBertConfig, DistilBertModel

# Initializing a DistilBERT configuration
configuration = DistilBertConfig()

# Initializing a model (with random weights) from the configuration
model = DistilBertModel(configuration)

# Accessing the model configuration
configuration = model.config
assert configuration.hidden_size == 768
""",
    "DistilBertModel": """
from transformers import AutoTokenizer, DistilBertModel
import torch

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
model = DistilBertModel.from_pretrained("distilbert-base-uncased")

inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
outputs = model(**inputs)

last_hidden_states = outputs.last_hidden_state
""",
    "DistilBertForMaskedLM": """
from transformers import AutoTokenizer, DistilBertForMaskedLM
import torch

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
model = DistilBertForMaskedLM.from_pretrained("distilbert-base-uncased")

inputs = tokenizer("The capital of France is [MASK].", return_tensors="pt")

with torch.no_grad():
    logits = model(**inputs).logits

# retrieve index of [MASK]
mask_token_index = (inputs.input_ids == tokenizer.mask_token_id)[0].nonzero(as_tuple=True)[0]

predicted_token_id = logits[0, mask_token_index].argmax(axis=-1)
tokenizer.decode(predicted_token_id)

labels = tokenizer("The capital of France is Paris.", return_tensors="pt")["input_ids"]
# mask labels of non-[MASK] tokens
labels = torch.where(inputs.input_ids == tokenizer.mask_token_id, labels, -100)

outputs = model(**inputs, labels=labels)
round(outputs.loss.item(), 2)
""",
    "DistilBertForSequenceClassification": """
import torch
from transformers import AutoTokenizer, DistilBertForSequenceClassification

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
model = DistilBertForSequenceClassification.from_pretrained("distilbert-base-uncased")

inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")

with torch.no_grad():
    logits = model(**inputs).logits

predicted_class_id = logits.argmax().item()
model.config.id2label[predicted_class_id]

# To train a model on `num_labels` classes, you can pass `num_labels=num_labels` to `.from_pretrained(...)`
num_labels = len(model.config.id2label)
model = DistilBertForSequenceClassification.from_pretrained("distilbert-base-uncased", num_labels=num_labels)

labels = torch.tensor([1])
loss = model(**inputs, labels=labels).loss
outputs = model(**inputs, labels=labels)
round(loss.item(), 2)
""",
    "DistilBertForSequenceClassification, several labels": """
import torch
from transformers import AutoTokenizer, DistilBertForSequenceClassification

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
model = DistilBertForSequenceClassification.from_pretrained("distilbert-base-uncased", problem_type="multi_label_classification")

inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")

with torch.no_grad():
    logits = model(**inputs).logits

predicted_class_ids = torch.arange(0, logits.shape[-1])[torch.sigmoid(logits).squeeze(dim=0) > 0.5]

# To train a model on `num_labels` classes, you can pass `num_labels=num_labels` to `.from_pretrained(...)`
num_labels = len(model.config.id2label)
model = DistilBertForSequenceClassification.from_pretrained(
    "distilbert-base-uncased", num_labels=num_labels, problem_type="multi_label_classification"
)

labels = torch.sum(
    torch.nn.functional.one_hot(predicted_class_ids[None, :].clone(), num_classes=num_labels), dim=1
).to(torch.float)
outputs = model(**inputs, labels=labels)
loss = outputs.loss
""",
    "DistilBertForTokenClassification": """
from transformers import AutoTokenizer, DistilBertForTokenClassification
import torch

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
model = DistilBertForTokenClassification.from_pretrained("distilbert-base-uncased")

inputs = tokenizer(
    "HuggingFace is a company based in Paris and New York", add_special_tokens=False, return_tensors="pt"
)

with torch.no_grad():
    logits = model(**inputs).logits

predicted_token_class_ids = logits.argmax(-1)

# Note that tokens are classified rather then input words which means that
# there might be more predicted token classes than words.
# Multiple token classes might account for the same word
predicted_tokens_classes = [model.config.id2label[t.item()] for t in predicted_token_class_ids[0]]

labels = predicted_token_class_ids
loss = model(**inputs, labels=labels).loss
outputs = model(**inputs, labels=labels)
round(loss.item(), 2)
""",
    "DistilBertForQuestionAnswering": """
from transformers import AutoTokenizer, DistilBertForQuestionAnswering
import torch

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
model = DistilBertForQuestionAnswering.from_pretrained("distilbert-base-uncased")

question, text = "Who was Jim Henson?", "Jim Henson was a nice puppet"

inputs = tokenizer(question, text, return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)

answer_start_index = outputs.start_logits.argmax()
answer_end_index = outputs.end_logits.argmax()

predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
tokenizer.decode(predict_answer_tokens, skip_special_tokens=True)

# target is "nice puppet"
target_start_index = torch.tensor([14])
target_end_index = torch.tensor([15])

outputs = model(**inputs, start_positions=target_start_index, end_positions=target_end_index)
loss = outputs.loss
round(loss.item(), 2)
""",
    "DistilBertForMultipleChoice": """
from transformers import AutoTokenizer, DistilBertForMultipleChoice
import torch

tokenizer = AutoTokenizer.from_pretrained("distilbert-base-cased")
model = DistilBertForMultipleChoice.from_pretrained("distilbert-base-cased")

prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
choice0 = "It is eaten with a fork and a knife."
choice1 = "It is eaten while held in the hand."
labels = torch.tensor(0).unsqueeze(0)  # choice0 is always correct (according to ;)), batch size 1

encoding = tokenizer([[prompt, choice0], [prompt, choice1]], return_tensors="pt", padding=True)
outputs = model(**{k: v.unsqueeze(0) for k, v in encoding.items()}, labels=labels)  # batch size is 1

# the linear classifier still needs to be trained
loss = outputs.loss
logits = outputs.logits
""",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place that holds small models in folders of the published names, each with weights for every head."""
    place = tmp_path_factory.mktemp("models")
    for name in (f"distilbert/{BASE}", BASE, "distilbert-base-cased"):
        folder = place / name
        folder.mkdir(parents=True)
        vocabulary = len(tokenizers(folder)[0])
        tiny("DistilBertForMaskedLM", vocab_size=vocabulary, max_position_embeddings=64).save_pretrained(
            folder
        )
    return place


def run(snippet: str, package: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(here)
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(snippet.replace("from transformers import", f"from {package} import"), names)
    return names


def flat(output: Any) -> list[torch.Tensor]:
    return [tensor.detach().float() for tensor in output.to_tuple()]


@pytest.mark.parametrize("name", SNIPPETS)
def test_every_snippet_runs_and_finds_what_the_peer_finds(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = run(SNIPPETS[name], "distilbert", here, monkeypatch)
    assert type(ours["model"]).__module__.startswith("distilbert.")
    if name == "configuration":
        assert sum(p.numel() for p in ours["model"].parameters()) == 66_362_880
        return
    theirs = run(SNIPPETS[name], "transformers", here, monkeypatch)
    assert type(ours["tokenizer"]).__module__.startswith("distilbert.")
    assert ours["outputs"].keys() == theirs["outputs"].keys()
    new = [key for key in ours["model"].state_dict() if "classifier" in key or "qa_outputs" in key]
    if new:  # heads that both have drawn anew, and each by its own order of draws: the peer's, then, in both
        ours["model"].load_state_dict(theirs["model"].state_dict())
        labels = {key: theirs[key] for key in ("labels",) if key in theirs}
        if "target_start_index" in theirs:
            labels = {
                "start_positions": theirs["target_start_index"],
                "end_positions": theirs["target_end_index"],
            }
        given = ours.get("inputs") or {k: v.unsqueeze(0) for k, v in ours["encoding"].items()}
        ours["outputs"], theirs["outputs"] = (x["model"].eval()(**given, **labels) for x in (ours, theirs))
    half = ours["model"].dtype is torch.float16
    for one, other in zip(flat(ours["outputs"]), flat(theirs["outputs"]), strict=True):
        # Half precision keeps 11 bits.
        torch.testing.assert_close(one, other, rtol=0, atol=0.02 if half else 1e-5)
    if "predicted_token" in theirs:
        assert ours["predicted_token"] == theirs["predicted_token"]


def test_every_class_of_the_page_is_here_under_its_name() -> None:
    heads = (
        "MaskedLM",
        "SequenceClassification",
        "MultipleChoice",
        "TokenClassification",
        "QuestionAnswering",
    )
    for name in (
        "AutoConfig", "AutoModel", "AutoTokenizer", "DistilBertConfig", "DistilBertModel",
        "DistilBertTokenizer", "DistilBertTokenizerFast", *(f"AutoModelFor{head}" for head in heads),
        *(f"DistilBertFor{head}" for head in heads),
    ):  # fmt: skip
        assert getattr(distilbert, name).__name__ == name
