"""Whether a server answers, and what it has counted. Asked without a key."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from distilbert.serve.refusals import Refusal, Unready
from distilbert.serve.routes import desk_of, router


def told(refusal: Refusal) -> dict[str, Any]:
    return {"error": refusal.message, "error_type": refusal.kind}


routes = router(told, keyed=False, tags=["health"])


@routes.get("/health", response_class=Response, summary="Whether every model has answered once")
@routes.get("/ping", response_class=Response, summary="The same")
async def health(request: Request) -> Response:
    desk = desk_of(request)
    if desk.ends is not None:
        raise Unready("The server is being stopped.")
    if not desk.models.ready:
        raise Unready("Models are being loaded. Ask again soon.", retry_after=1)
    return Response()


@routes.get("/metrics", response_class=PlainTextResponse, summary="What was counted, for Prometheus")
async def metrics(request: Request) -> Response:
    counted = desk_of(request).metrics
    return Response(counted.text(), media_type=counted.content_type)


def at(path: str) -> APIRouter:
    """The same at another path, as Vertex AI says it."""
    own = router(told, keyed=False, tags=["health"])
    summary = "The same, as AIP_HEALTH_ROUTE says"
    own.add_api_route(path, health, methods=["GET"], response_class=Response, summary=summary)
    return own
