"""The first version of the inference protocol, and Vertex AI's, which is the same on a route of its own."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from distilbert.serve.refusals import Empty, Refusal
from distilbert.serve.routes import answered, desk_of, router
from distilbert.serve.tasks import Payload, answers_to


class Instances(BaseModel):
    instances: list[Any]
    parameters: dict[str, Any] | None = None


def told(refusal: Refusal) -> dict[str, Any]:
    """A refusal as clients of this protocol read it."""
    return {"error": refusal.message}


routes = router(told, tags=["inference v1"])


@routes.post("/v1/models/{name}:predict", summary="Ask a model about instances")
async def predict(name: str, body: Instances, request: Request) -> Response:
    return await answer(body, request, name)


@routes.post("/vertex", summary="Ask the usual model about instances")
async def vertex(body: Instances, request: Request) -> Response:
    return await answer(body, request)


async def answer(body: Instances, request: Request, name: str | None = None) -> Response:
    """An answer for each instance."""
    if not body.instances:
        raise Empty("There must be instances. Received: none.")
    served = desk_of(request).models.get(name)
    inputs = [_input(one) for one in body.instances]
    payload = Payload(inputs=inputs, parameters=body.parameters)
    answers, done = await answers_to(request, payload, served)
    return answered({"predictions": answers}, done)


def at(predict: str) -> APIRouter:
    """The route at which Vertex AI asks, as the environment says it."""
    own = router(told, tags=["inference v1"])
    own.add_api_route(
        predict, vertex, methods=["POST"], summary="Ask the usual model, as AIP_PREDICT_ROUTE says"
    )
    return own


def _input(instance: Any) -> Any:
    """What an instance asks: itself, or what stands under ``inputs``."""
    return instance["inputs"] if isinstance(instance, dict) and set(instance) == {"inputs"} else instance
