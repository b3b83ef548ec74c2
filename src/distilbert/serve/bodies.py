"""Bodies of requests: so many bytes, in so much time, of JSON that is not too deep."""

import asyncio
import re
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from distilbert.serve.refusals import Gone, Malformed, Slow, TooLarge, WrongType
from distilbert.serve.settings import Settings

#: Strings of JSON, in which brackets mean nothing.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPEN, _CLOSE = b"[{", b"]}"
_OTHERS = bytes(set(range(256)) - set(_OPEN + _CLOSE))

#: Brackets of a body: lists of numbers have two for each text.
_MOST_BRACKETS = 200_000


class JsonRequest(Request):
    """A request whose body is read once, within the server's limits."""

    async def body(self) -> bytes:
        """The body.

        Raises:
            Gone: whoever asked has left.
            Slow: it does not come in time.
            TooLarge: it has too many bytes.
        """
        if not hasattr(self, "_body"):
            settings: Settings = self.app.state.settings
            try:
                async with asyncio.timeout(settings.deadline):
                    self._body = await self._read(settings.max_body)
            except TimeoutError:
                raise Slow("The body of a request must come in time. Send it faster.") from None
            except ClientDisconnect:
                raise Gone("Whoever asked has left.") from None
        return self._body

    async def json(self) -> Any:
        """What the body says.

        Raises:
            Malformed: it is no JSON, or too deep.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            settings: Settings = self.app.state.settings
            refuse_deep(body, settings.max_depth)
            self._json = parsed(body)
        return self._json

    async def _read(self, most: int) -> bytes:
        said = self.headers.get("content-length", "")
        if said.isdecimal() and int(said) > most:
            raise _too_large(most)
        pieces, size = [], 0
        async for piece in self.stream():
            size += len(piece)
            if size > most:
                raise _too_large(most)
            pieces.append(piece)
        return b"".join(pieces)


def require_json(request: Request) -> None:
    """Refuse a body of another type; one of no type at all is taken for JSON.

    Raises:
        WrongType: it is none.
    """
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise WrongType(f"A request is of the type application/json. Received: {kind:.60}. Name it so.")


def parsed(body: bytes) -> Any:
    """JSON, as it is.

    Raises:
        Malformed: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"A request is JSON in UTF-8. Received: {error}.") from None


def refuse_deep(body: bytes, most: int) -> None:
    """Refuse JSON with too many brackets within brackets, before anything is made of it.

    Raises:
        Malformed: it is too deep.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _OTHERS)
    depth = deepest = 0
    for bracket in brackets[:_MOST_BRACKETS]:
        depth += 1 if bracket in _OPEN else -1
        deepest = max(deepest, depth)
    if deepest > most or len(brackets) > _MOST_BRACKETS:
        raise Malformed(f"JSON must have at most {most} brackets within brackets, and not too many in all.")


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body of a request must have at most {most} bytes. Send it in several requests.")
