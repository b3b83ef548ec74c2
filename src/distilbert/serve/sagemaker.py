"""SageMaker's routes: invocations of the usual model, batches as lines or tables, and models by name."""

import csv
import io
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError

from distilbert.serve.bodies import parsed, refuse_deep
from distilbert.serve.refusals import Failed, Invalid, Malformed, Refusal, WrongType
from distilbert.serve.routes import as_json, desk_of, lost, router
from distilbert.serve.served import Served
from distilbert.serve.tasks import Payload, answers_to

#: What a caller says for whoever reads the answer; it is given back.
_CUSTOM = "x-amzn-sagemaker-custom-attributes"

_JSON, _CSV = "application/json", "text/csv"
_LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl")


class Place(BaseModel):
    model_name: str
    url: str


class Conflict(Refusal):
    """There is a model of that name."""

    status, kind = 409, "Validation"


_PAYLOAD = TypeAdapter(Payload)
_BODY = {
    "requestBody": {
        "content": {
            _JSON: {
                "schema": {"type": "object", "properties": {"inputs": {}, "parameters": {"type": "object"}}}
            },
            _LINES[0]: {"schema": {"type": "string"}},
            _CSV: {"schema": {"type": "string"}},
        }
    }
}
_UNLOADED: dict[int | str, dict[str, Any]] = {
    409: {"description": Conflict.__doc__},
    507: {"description": "There is no memory for it."},
}
_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {_LINES[0]: {}, _CSV: {}}}}


def told(refusal: Refusal) -> dict[str, Any]:
    """A refusal as this protocol has it."""
    return {"error": refusal.message, "error_type": refusal.kind}


routes = router(told, tags=["SageMaker"])


@routes.post("/invocations", summary="Ask the usual model", openapi_extra=_BODY, responses=_ANSWERS)
async def invoke(request: Request) -> Response:
    return await _invoked(request, desk_of(request).models.get())


@routes.post("/models/{name}/invoke", summary="Ask a model", openapi_extra=_BODY, responses=_ANSWERS)
async def invoke_model(name: str, request: Request) -> Response:
    return await _invoked(request, desk_of(request).models.get(name))


@routes.post("/models", summary="Load a model", responses=_UNLOADED)
async def load(place: Place, request: Request) -> Response:
    models = desk_of(request).models
    if place.model_name in models.names:
        raise Conflict(f"There is a model {place.model_name:.60} already.")
    try:
        await models.load(place.model_name, place.url)
    except Failed as error:
        if isinstance(error.__cause__, MemoryError):
            return as_json(told(error), status=507)
        raise
    return as_json({"modelName": place.model_name, "modelUrl": place.url})


@routes.get("/models", summary="The models that there are")
async def models(request: Request) -> Response:
    known = desk_of(request).models
    return as_json({"models": [_listed(request, name) for name in known.names]})


@routes.get("/models/{name}", summary="A model")
async def model(name: str, request: Request) -> Response:
    desk_of(request).models.is_ready(name)
    return as_json(_listed(request, name))


@routes.delete("/models/{name}", summary="Let a model go")
async def unload(name: str, request: Request) -> Response:
    desk_of(request).models.unload(name)
    return as_json({})


def _listed(request: Request, name: str) -> dict[str, Any]:
    return {"modelName": name, "modelUrl": str(desk_of(request).models.places[name])}


async def _invoked(request: Request, served: Served) -> Response:
    """An answer in the form that was asked for: to JSON one, to lines and tables one for each row."""
    body = await request.body()
    kind = request.headers.get("content-type", _JSON).split(";")[0].strip().lower()
    wanted = request.headers.get("accept", "").split(",")[0].split(";")[0].strip().lower()
    if kind == _JSON:
        refuse_deep(body, request.app.state.settings.max_depth)
        payload = _payload(parsed(body))
    elif kind in _LINES:
        payload = _of_lines(body, request.app.state.settings.max_depth)
    elif kind == _CSV:
        payload = _payload({"inputs": [_of_row(row, served) for row in _rows(body)]})
    else:
        raise WrongType(f"A request is {_JSON}, {_LINES[0]} or {_CSV}. Received: {kind:.60}.")
    value, done = await answers_to(request, payload, served, hosted=False)
    headers = lost(done)
    if _CUSTOM in request.headers:
        headers[_CUSTOM] = request.headers[_CUSTOM]
    if wanted in _LINES or (wanted in ("", "*/*") and kind in _LINES):
        lines = b"".join(orjson.dumps(one) + b"\n" for one in _listing(value))
        return Response(lines, headers=headers, media_type=_LINES[0])
    if wanted == _CSV or (wanted in ("", "*/*") and kind == _CSV):
        return Response(_table(_listing(value)), headers=headers, media_type=_CSV)
    return as_json(value, headers=headers)


def _payload(given: Any) -> Payload:
    try:
        return _PAYLOAD.validate_python(given)
    except ValidationError as error:
        found = error.errors()[0]
        raise Invalid(f"{'.'.join(map(str, found['loc'])) or 'The body'}: {found['msg']}.") from None


def _of_lines(body: bytes, depth: int) -> Payload:
    """Lines of JSON: each an input, or one under ``inputs``; parameters are those of the first."""
    inputs: list[Any] = []
    parameters = None
    for line in body.splitlines():
        if line.strip():
            refuse_deep(line, depth)
            one = parsed(line)
            if isinstance(one, dict) and "inputs" in one:
                parameters = one.get("parameters") if not inputs else parameters
                one = one["inputs"]
            inputs.append(one)
    return _payload({"inputs": inputs, "parameters": parameters})


def _rows(body: bytes) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(body.decode(), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed(f"A table is CSV in UTF-8. Received: {error}.") from None


def _of_row(row: list[str], served: Served) -> Any:
    """What a row asks: of one text it is the text, of two what the task has."""
    if len(row) == 1:
        return row[0]
    names = {"question-answering": ("question", "context")}.get(served.tasks[0], ("text", "text_pair"))
    if len(row) != 2:
        raise Invalid(f"A row has one text or two. Received: {len(row)}.")
    return dict(zip(names, row, strict=True))


def _listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _table(answers: list[Any]) -> str:
    """Answers as a table: those of named numbers and words in their columns, others as JSON in one."""
    out = io.StringIO()
    writer = csv.writer(out)
    for answer in answers:
        plain = isinstance(answer, dict) and not any(isinstance(own, dict | list) for own in answer.values())
        writer.writerow(answer.values() if plain else [orjson.dumps(answer).decode()])
    return out.getvalue()
