"""The second version of the open inference protocol, with binary data, for texts and for tokens."""

from typing import Any

import numpy as np
import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from distilbert import __version__
from distilbert.core.parameters import Head
from distilbert.engine.pipelines.abstract import Call
from distilbert.engine.waiting import Row
from distilbert.serve.bodies import parsed, refuse_deep
from distilbert.serve.refusals import Invalid, Malformed, Refusal
from distilbert.serve.routes import as_json, desk_of, lost, router
from distilbert.serve.served import Served
from distilbert.serve.tasks import Payload, answers_to
from distilbert.serve.tensors import Array, as_array, as_bytes, type_of
from distilbert.serve.work import Done

#: Says how many of a body's bytes are JSON.
_JSON_BYTES = "inference-header-content-length"

#: What a model with a head gives for tokens; each text's own axes come behind the number of texts.
_OUTPUTS: dict[Head, tuple[str, ...]] = {
    Head.QUESTION_ANSWERING: ("start_logits", "end_logits"),
    Head.NONE: ("sentence_embedding",),
}


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class Wanted(BaseModel):
    name: str
    parameters: dict[str, Any] = {}


class Infer(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: list[Tensor]
    outputs: list[Wanted] | None = None


class Load(BaseModel):
    parameters: dict[str, Any] | None = None


_INFER = TypeAdapter(Infer)
_BODY = {
    "requestBody": {"content": {"application/json": {"schema": Infer.model_json_schema()}}, "required": True}
}


def told(refusal: Refusal) -> dict[str, Any]:
    """A refusal as clients of this protocol read it."""
    return {"error": refusal.message}


routes = router(told, tags=["inference v2"])
open_routes = router(told, keyed=False, tags=["inference v2"])


@open_routes.get("/v2/health/live", summary="Whether the process runs")
async def live(request: Request) -> Response:
    return as_json({"live": True})


@open_routes.get("/v2/health/ready", summary="Whether every model has answered once")
async def ready(request: Request) -> Response:
    desk = desk_of(request)
    answers = desk.ends is None and desk.models.ready
    return as_json({"ready": answers}, status=200 if answers else 503)


@routes.get("/v2", summary="The server")
async def server(request: Request) -> Response:
    extensions = ["binary_tensor_data", "model_repository"]
    return as_json({"name": "distilbert", "version": __version__, "extensions": extensions})


@routes.get("/v2/models/{name}", summary="What a model takes and gives")
@routes.get("/v2/models/{name}/versions/{version}", include_in_schema=False)
async def metadata(name: str, request: Request, version: str = "1") -> Response:
    served = _model(request, name, version)
    takes: list[tuple[str, str, list[int]]] = [
        ("text", "BYTES", [-1]), ("input_ids", "INT64", [-1, -1]), ("attention_mask", "INT64", [-1, -1])
    ]  # fmt: skip
    gives = [("answer", "BYTES", [-1]), *((own, "FP32", [-1, -1]) for own in _names(served))]
    return as_json(
        {
            "name": served.name,
            "versions": ["1"],
            "platform": f"distilbert_{served.main.runtime}",
            "inputs": [{"name": own, "datatype": kind, "shape": shape} for own, kind, shape in takes],
            "outputs": [{"name": own, "datatype": kind, "shape": shape} for own, kind, shape in gives],
            "parameters": {"task": served.tasks[0], "max_length": served.main.max_length},
        }
    )


@routes.get("/v2/models/{name}/ready", summary="Whether a model answers")
@routes.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
async def model_ready(name: str, request: Request, version: str = "1") -> Response:
    answers = desk_of(request).models.is_ready(name)
    return as_json({"name": name, "ready": answers}, status=200 if answers else 503)


@routes.post("/v2/models/{name}/infer", summary="Ask a model about texts, or tokens", openapi_extra=_BODY)
@routes.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
async def infer(name: str, request: Request, version: str = "1") -> Response:
    body, arrays = await _read(request)
    served = _model(request, name, version)
    if "text" in arrays:
        outputs, done = await _of_texts(request, served, arrays["text"], body.parameters)
    elif "input_ids" in arrays:
        outputs, done = await _of_tokens(request, served, arrays)
    else:
        raise Invalid(f"A model takes text, or input_ids. Received: {', '.join(arrays)[:80] or 'nothing'}.")
    return _told(body, served, outputs, done)


@routes.post("/v2/repository/index", summary="The models that there are")
async def index(request: Request) -> Response:
    models = desk_of(request).models
    states = {True: "READY", False: "UNAVAILABLE"}
    return as_json(
        [{"name": own, "version": "1", "state": states[models.is_ready(own)]} for own in models.names]
    )


@routes.post("/v2/repository/models/{name}/load", summary="Load a model again, as its folder is now")
async def load(name: str, request: Request, body: Load | None = None) -> Response:
    models = desk_of(request).models
    models.is_ready(name)
    await models.load(name, models.places[name])
    return as_json({})


@routes.post("/v2/repository/models/{name}/unload", summary="Let a model go")
async def unload(name: str, request: Request, body: Load | None = None) -> Response:
    desk_of(request).models.unload(name)
    return as_json({})


def _model(request: Request, name: str, version: str) -> Served:
    served = desk_of(request).models.get(name)
    if version != "1":
        raise Invalid(f"A model has one version, 1. Received: {version:.20}.")
    return served


async def _read(request: Request) -> tuple[Infer, dict[str, Array]]:
    """What is asked, and the tensors by their names.

    Raises:
        Malformed: a body that cannot be read.
    """
    body = await request.body()
    said = request.headers.get(_JSON_BYTES)
    if said is not None and not (said.isdecimal() and int(said) <= len(body)):
        raise Malformed("Inference-Header-Content-Length is how many bytes of the body are JSON.")
    size = len(body) if said is None else int(said)
    refuse_deep(body[:size], request.app.state.settings.max_depth)
    try:
        asked = _INFER.validate_python(parsed(body[:size]))
    except ValidationError as error:
        found = error.errors()[0]
        raise Malformed(f"{'.'.join(map(str, found['loc'])) or 'The body'}: {found['msg']}.") from None
    arrays, at = {}, size
    for tensor in asked.inputs:
        count = tensor.parameters.get("binary_data_size")
        content = None
        if count is not None:
            if not isinstance(count, int) or count < 0 or at + count > len(body):
                raise Malformed(f"The binary data of {tensor.name:.60} are not as long as it says.")
            content, at = body[at : at + count], at + count
        arrays[tensor.name] = as_array(tensor.model_dump(), content)
    return asked, arrays


async def _of_texts(
    request: Request, served: Served, texts: Array, parameters: dict[str, Any]
) -> tuple[dict[str, Array], Done]:
    """An answer to each text, as JSON in its element; of vectors the numbers themselves."""
    given = [text.decode() if isinstance(text, bytes) else text for text in texts.ravel().tolist()]
    options = {key: value for key, value in parameters.items() if key not in ("binary_data_output", "task")}
    payload = Payload(inputs=given, parameters=options)
    answers, done = await answers_to(request, payload, served, task=parameters.get("task"))
    if "task" not in parameters and served.tasks[0] == "sentence-embedding":
        return {"sentence_embedding": np.array(answers, "<f4")}, done
    told = np.empty(len(answers), object)
    told[:] = [orjson.dumps(answer).decode() for answer in answers]
    return {"answer": told}, done


async def _of_tokens(
    request: Request, served: Served, arrays: dict[str, Array]
) -> tuple[dict[str, Array], Done]:
    """What the model gives for rows of tokens: padding is neither computed nor told."""
    ids = arrays["input_ids"]
    mask = arrays.get("attention_mask", np.ones_like(ids))
    if ids.ndim != 2 or mask.shape != ids.shape or ids.dtype.kind not in "iu":
        raise Malformed("input_ids and attention_mask are whole numbers of one shape, [texts, tokens].")
    types = arrays.get("token_type_ids")
    rows = []
    for i, live in enumerate(mask != 0):
        second = 0
        if types is not None and types.shape == ids.shape and types[i][live].any():
            second = int(np.argmax(types[i][live] != 0))
        own = ids[i][live].astype(np.int32)
        asked = np.arange(len(own), dtype=np.int32) if served.main.head is Head.MASKED_LM else None
        rows.append(Row(own, second, asked))

    def begin() -> Call:
        return served.main.begin_rows(rows, apart=True)

    tokens = int((mask != 0).sum())
    done = await desk_of(request).called(request, served, begin, texts=len(rows), characters=4 * tokens)
    outputs = {}
    for number, name in enumerate(_names(served)):
        found = [answer[number] for answer in done.answers]
        if served.main.answers_tokens:
            whole = np.zeros((*ids.shape, *found[0].shape[1:]), "<f4")
            for i, own in enumerate(found):
                whole[i][mask[i] != 0] = own
            outputs[name] = whole
        else:
            outputs[name] = np.stack(found).astype("<f4")
    return outputs, done


def _names(served: Served) -> tuple[str, ...]:
    """What the model gives, by the names of exported graphs."""
    if served.main.head is Head.NONE and served.main.answers_tokens:
        return ("last_hidden_state",)
    return _OUTPUTS.get(served.main.head, ("logits",))


def _told(body: Infer, served: Served, outputs: dict[str, Array], done: Done) -> Response:
    """The answer: its tensors as JSON, or as bytes behind it where they are asked for so."""
    asked = {own.name: own for own in body.outputs or ()}
    if unknown := [name for name in asked if name not in outputs]:
        raise Invalid(
            f"There is no output {unknown[0]:.60} for these inputs. There are {', '.join(outputs)}."
        )
    usual = body.parameters.get("binary_data_output") is True
    told, pieces = [], []
    for name, array in outputs.items():
        if asked and name not in asked:
            continue
        own: dict[str, Any] = {"name": name, "datatype": type_of(array), "shape": list(array.shape)}
        binary = asked[name].parameters.get("binary_data", usual) if asked else usual
        if binary:
            pieces.append(as_bytes(array))
            own["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            own["data"] = array.ravel().tolist()
        told.append(own)
    answer: dict[str, Any] = {"model_name": served.name, "model_version": "1", "outputs": told}
    if body.id is not None:
        answer["id"] = body.id
    if done.cut or done.windowed:
        answer["parameters"] = {"dropped_tokens": done.dropped, "windowed_inputs": done.windowed}
    if not pieces:
        return as_json(answer, headers=lost(done))
    head = orjson.dumps(answer)
    headers = {**lost(done), _JSON_BYTES: str(len(head))}
    return Response(b"".join([head, *pieces]), headers=headers, media_type="application/octet-stream")
