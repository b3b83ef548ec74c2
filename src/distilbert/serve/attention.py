"""What a model attends to, for the page and whoever else looks."""

from typing import Any

import numpy as np
from fastapi import Request, Response
from pydantic import BaseModel, Field

from distilbert.engine.attending import attended
from distilbert.serve.refusals import Overloaded, Refusal
from distilbert.serve.routes import as_json, desk_of, router

#: Digits of a share that a picture shows.
_DIGITS = 4


class Asked(BaseModel):
    inputs: str
    layer: int = Field(0, ge=0)


def told(refusal: Refusal) -> dict[str, Any]:
    return {"error": refusal.message, "error_type": refusal.kind}


routes = router(told, tags=["attention"])


@routes.post("/models/{name}/attention", summary="How much each token heeds each other one, by head")
async def attention(name: str, body: Asked, request: Request) -> Response:
    desk = desk_of(request)
    served = desk.models.get(name)
    # It is computed beside the queue: several at once would slow down whoever stands in that.
    if desk.looking.locked():
        raise Overloaded("One at a time may look at what a model attends to.", retry_after=1)
    async with desk.looking:
        with served:
            found = await desk.in_thread(lambda: attended(served.main, body.inputs, layer=body.layer))
    lost = {"x-truncated-inputs": "1", "x-dropped-tokens": str(found.dropped)} if found.dropped else {}
    return as_json(
        {
            "tokens": found.tokens,
            "layers": found.layers,
            "layer": body.layer,
            "attention": np.round(found.weights, _DIGITS),
        },
        headers=lost,
    )
