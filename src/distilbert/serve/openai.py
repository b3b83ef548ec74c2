"""The embeddings of OpenAI's interface, and its list of models."""

import base64
import time
from typing import Any, Literal

import numpy as np
from fastapi import Request, Response
from pydantic import BaseModel, Field

from distilbert.serve.refusals import Empty, Refusal, Unknown
from distilbert.serve.routes import answered, as_json, desk_of, router
from distilbert.serve.served import Served
from distilbert.serve.texts import decoded

#: Their words for what goes wrong, by status; what is not here is the server's.
_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


class Embeddings(BaseModel):
    input: str | list[str] | list[int] | list[list[int]]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)
    user: str | None = None


def told(refusal: Refusal) -> dict[str, Any]:
    """A refusal as clients of this protocol read it."""
    usual = "invalid_request_error" if refusal.status < 500 else "server_error"
    kind = _TYPES.get(refusal.status, usual)
    error = {"message": refusal.message, "type": kind, "param": None, "code": _CODES.get(refusal.status)}
    # At the end what the text-embeddings server says on this route.
    return {"error": error, "message": refusal.message, "type": kind, "code": refusal.status}


routes = router(told, tags=["OpenAI"])


@routes.post("/v1/embeddings", summary="Vectors of texts")
@routes.post("/embeddings", summary="The same")
async def embeddings(body: Embeddings, request: Request) -> Response:
    desk = desk_of(request)
    served = _model(request, body.model)
    given: Any = body.input
    many = given if isinstance(given, list) and not (given and isinstance(given[0], int)) else [given]
    if many and not isinstance(many[0], str):
        many = await desk.in_thread(lambda: decoded(served, many, skip_special=True))
    if not all(many):
        raise Empty("A text must have a character at least.")
    done = await desk.answer(
        request, served, "sentence-embedding", many, dimensions=body.dimensions, return_tensors=True
    )
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": _as_text(vector) if body.encoding_format == "base64" else vector,
        }
        for i, vector in enumerate(done.answers)
    ]
    usage: dict[str, Any] = {"prompt_tokens": done.tokens, "total_tokens": done.tokens}
    if done.dropped:
        usage["dropped_tokens"] = done.dropped
    return answered({"object": "list", "data": data, "model": served.name, "usage": usage}, done)


@routes.get("/v1/models", summary="The models that there are")
async def models(request: Request) -> Response:
    names = desk_of(request).models.names
    # Both protocols that have this route find what they look for.
    return as_json({"object": "list", "data": [_told(name) for name in names], "models": names})


@routes.get("/v1/models/{name}", summary="A model")
async def model(name: str, request: Request) -> Response:
    ready = desk_of(request).models.is_ready(name)
    return as_json({**_told(name), "name": name, "ready": ready}, status=200 if ready else 503)


def _model(request: Request, name: str | None) -> Served:
    """The model of that name; where there is one alone, it is meant by whatever name."""
    models = desk_of(request).models
    try:
        return models.get(name)
    except Unknown:
        if len(models.names) > 1:
            raise
        return models.get()


def _told(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(time.time()), "owned_by": "distilbert"}


def _as_text(vector: Any) -> str:
    """Numbers of 32 bits, the lowest byte first, in base64."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode("ascii")
