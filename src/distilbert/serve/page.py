"""Pages for a person, of files of this package, which ask for nothing beyond this server.

On one models are asked, the other shows every route.
"""

from importlib.resources import files
from typing import Any

from fastapi import Request, Response

from distilbert.serve.refusals import Refusal, Unknown
from distilbert.serve.routes import router

#: Their files, and the types of these.
_FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "pictures.js": "text/javascript",
    "docs.html": "text/html",
    "docs.js": "text/javascript",
}

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def told(refusal: Refusal) -> dict[str, Any]:
    return {"error": refusal.message, "error_type": refusal.kind}


# Whoever has no key may read the page: it asks for one.
routes = router(told, keyed=False, include_in_schema=False)


@routes.get("/")
async def page(request: Request) -> Response:
    return _file("index.html")


@routes.get("/docs")
async def docs(request: Request) -> Response:
    return _file("docs.html")


@routes.get("/page/{name}")
async def file(name: str, request: Request) -> Response:
    if name not in _FILES:
        raise Unknown("The page has no such file.")
    return _file(name)


def _file(name: str) -> Response:
    content = files("distilbert.serve").joinpath("web", name).read_bytes()
    return Response(content, headers=_HEADERS, media_type=_FILES[name])
