"""The application: models, the protocols by which they are asked, and what surrounds every request."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from distilbert import __version__
from distilbert.errors import DistilBertError
from distilbert.serve import (
    attention,
    health,
    inference_v1,
    inference_v2,
    openai,
    page,
    sagemaker,
    tasks,
    text_embeddings,
)
from distilbert.serve.edge import Edge
from distilbert.serve.metrics import Metrics
from distilbert.serve.models import Models
from distilbert.serve.routes import as_json
from distilbert.serve.settings import Settings
from distilbert.serve.work import Desk

logger = logging.getLogger(__name__)

#: Of each protocol its routes, in a file of its name.
_ROUTES = (
    page.routes,
    health.routes,
    tasks.routes,
    text_embeddings.routes,
    openai.routes,
    inference_v1.routes,
    inference_v2.open_routes,
    inference_v2.routes,
    sagemaker.routes,
    attention.routes,
)


def application(
    places: Mapping[str, str | Path],
    settings: Settings | None = None,
    *,
    task: str | None = None,
    on_ready: Callable[[Models], None] = lambda models: None,
    on_failure: Callable[[DistilBertError], None] = lambda error: None,
) -> FastAPI:
    """What an ASGI server runs. It listens at once, and is ready when every model has answered once.

    Args:
        places: folders by the names of their models, or names on a hub; the first answers where no name
            is said.
        settings: the server's.
        task: what the first is asked where nothing is said; None for what it was made for.
        on_ready: is told when all models are there.
        on_failure: is told why one cannot be loaded.
    """
    settings = settings or Settings()
    models = Models(places, task=task, on_long=settings.on_long, **settings.computing)
    metrics = Metrics()
    desk = Desk(models, settings, metrics)
    metrics.watch(desk)

    async def load() -> None:
        try:
            await models.load_all()
        except DistilBertError as error:
            logger.error("%s", error)
            on_failure(error)
        else:
            on_ready(models)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(load())
        try:
            yield
        finally:
            loading.cancel()
            desk.close()
            models.close()

    app = FastAPI(
        title="distilbert",
        version=__version__,
        summary="Trained folders behind HTTP.",
        lifespan=living,
        # FastAPI's viewers load their scripts from a network: page.py has one that does not.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.desk = settings, desk
    for routes in _ROUTES:
        app.include_router(routes)
    _add_vertex(app, settings)
    app.add_middleware(Edge, settings=settings, metrics=metrics)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        """No such route, or not that way."""
        body: dict[str, Any] = {"error": f"{error.detail}. See /docs.", "error_type": "NotFound"}
        return as_json(body, status=error.status_code, headers=dict(error.headers or {}))

    return app


def _add_vertex(app: FastAPI, settings: Settings) -> None:
    """Routes that are not known before a server starts."""
    known = {route.path for route in app.routes if isinstance(route, APIRoute)}
    if settings.predict_route is not None and settings.predict_route not in known:
        app.include_router(inference_v1.at(settings.predict_route))
    if settings.health_route is not None and settings.health_route not in known:
        app.include_router(health.at(settings.health_route))
