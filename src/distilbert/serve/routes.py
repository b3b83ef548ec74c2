"""Routes of a protocol: bodies within limits, refusals in the protocol's own shape, answers as JSON."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from distilbert.errors import ConfigError, DataError
from distilbert.serve.bodies import JsonRequest, require_json
from distilbert.serve.keys import authorize
from distilbert.serve.refusals import (
    Failed,
    Gone,
    Invalid,
    Late,
    Malformed,
    Overloaded,
    Refusal,
    Slow,
    TooLarge,
    Unauthorized,
    Unknown,
    Unready,
    WrongType,
)
from distilbert.serve.work import Desk, Done

logger = logging.getLogger(__name__)

#: Refusals as the OpenAPI document tells them; their bodies are each protocol's own.
_REFUSALS: dict[int | str, dict[str, Any]] = {
    kind.status: {"description": kind.__doc__, "content": {"application/json": {}}}
    for kind in (
        Malformed,
        Unauthorized,
        Unknown,
        Slow,
        TooLarge,
        WrongType,
        Invalid,
        Failed,
        Overloaded,
        Unready,
        Late,
    )
}

#: What a protocol says of a refusal.
Told = Callable[[Refusal], dict[str, Any]]


def router(told: Told, *, keyed: bool = True, **settings: Any) -> APIRouter:
    """Routes of a protocol, which says refusals so.

    Args:
        told: a refusal's body.
        keyed: whether who asks must have a key, where the server has such.
        **settings: of the router.
    """

    class Route(_Route):
        refused = staticmethod(told)
        needs_key = keyed

    return APIRouter(route_class=Route, responses=_REFUSALS, **settings)


class _Route(APIRoute):
    """A route whose errors are all told in one shape. Abstract."""

    refused: Told
    needs_key: ClassVar[bool]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        takes_json = self.body_field is not None

        async def handler(request: Request) -> Response:
            asked = JsonRequest(request.scope, request.receive)
            try:
                if self.needs_key:
                    asked.state.key = authorize(asked, asked.app.state.settings.keys)
                if takes_json:
                    # Here, since FastAPI would tell whatever goes wrong in its own words.
                    require_json(asked)
                    if await asked.body():
                        await asked.json()
                return await inner(asked)
            except Refusal as refusal:
                return self.told(asked, refusal)
            except RequestValidationError as error:
                return self.told(asked, Invalid(_first(error)))
            except (ConfigError, DataError) as error:
                return self.told(asked, Invalid(str(error)))
            except Exception:
                logger.exception("a request failed")
                return self.told(asked, Failed("The request could not be answered. The log says why."))

        return handler

    def told(self, asked: Request, refusal: Refusal) -> Response:
        """A refusal as a response."""
        asked.state.refused = refusal.kind
        headers = {}
        if refusal.retry_after is not None:
            headers["retry-after"] = str(refusal.retry_after)
        if refusal.status == 401:
            headers["www-authenticate"] = "Bearer"
        if isinstance(refusal, Gone):
            return Response(status_code=refusal.status)
        return as_json(self.refused(refusal), status=refusal.status, headers=headers)


def as_json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value, numpy's arrays included, as a response."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, headers, media_type="application/json")


def answered(value: Any, done: Done, headers: dict[str, str] | None = None) -> Response:
    """An answer, and beside it what of the texts was not read."""
    return as_json(value, headers={"x-compute-tokens": str(done.tokens), **lost(done), **(headers or {})})


def lost(done: Done) -> dict[str, str]:
    """What became of long texts, as headers; none where all were short."""
    told = {}
    if done.cut:
        told = {"x-truncated-inputs": str(done.cut), "x-dropped-tokens": str(done.dropped)}
    if done.windowed:
        told["x-windowed-inputs"] = str(done.windowed)
    return told


def desk_of(asked: Request) -> Desk:
    """Where requests of this server come to."""
    desk: Desk = asked.app.state.desk
    return desk


def _first(error: RequestValidationError) -> str:
    """What is wrong with a body: the first of it, with its place, and nothing of what was sent."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"] if part != "body")
    return f"{place or 'The body'}: {found['msg']}."
