"""Its graph in 8 bits: OpenVINO's, with the ranges that NNCF sets by texts of the training data."""

import json
import sys

import nncf
import openvino
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder, train_file = sys.argv[1], sys.argv[2]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
example = dict(tokenizer(["one text", "and another, which is longer"], padding=True, return_tensors="pt"))
with torch.no_grad():
    graph = openvino.convert_model(model, example_input=example)
with open(train_file) as file:
    texts = [json.loads(line)["text"] for _, line in zip(range(300), file, strict=False)]
rows = [dict(tokenizer(text, truncation=True, max_length=128, return_tensors="np")) for text in texts]
quantised = nncf.quantize(
    graph, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows)
)
openvino.save_model(quantised, f"{folder}/openvino_model.xml")
