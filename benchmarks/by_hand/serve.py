"""The service one would write by hand: FastAPI before the graph, a thread for each of two requests."""

import json
import sys

import openvino
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoTokenizer

folder, port = sys.argv[1], int(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(folder)
compiled = openvino.Core().compile_model(
    f"{folder}/openvino_model.xml", "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}
)
with open(f"{folder}/config.json") as file:
    labels = json.load(file)["id2label"]
app = FastAPI()


class Asked(BaseModel):
    inputs: str


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/")
def answer(asked: Asked) -> dict[str, str]:
    row = dict(tokenizer(asked.inputs, truncation=True, max_length=512, return_tensors="np"))
    logits = compiled.create_infer_request().infer(row)[0]
    return {"label": labels[str(int(logits[0].argmax()))]}


uvicorn.run(app, port=port, log_level="warning")
