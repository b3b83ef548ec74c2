"""The server that people write first: FastAPI around a pipeline of the peer's.

python benchmarks/serving_peer.py FOLDER PORT
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from measuring import peer
from pydantic import BaseModel


class Asked(BaseModel):
    inputs: str


def application(folder: str) -> FastAPI:
    pipeline = peer().pipeline("text-classification", model=folder, device="cpu", truncation=True)
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {}

    @app.post("/")
    def answer(asked: Asked) -> Any:
        return pipeline(asked.inputs)

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
