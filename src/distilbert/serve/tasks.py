"""Published tasks in the payloads of the hosted inference service: ``{"inputs", "parameters"}``."""

from typing import Annotated, Any

from fastapi import Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from distilbert.serve.refusals import Refusal
from distilbert.serve.routes import answered, desk_of, router
from distilbert.serve.served import Served
from distilbert.serve.work import Done

#: What clients say beside inputs and parameters; nothing of it changes an answer.
_IDLE = ("options",)


class Payload(BaseModel):
    """What is asked. Fields beside these are parameters, as some clients send them."""

    model_config = ConfigDict(extra="allow")

    inputs: Any = Field(description="A text, several texts, or what the task reads in their place.")
    parameters: dict[str, Any] | None = Field(None, description="Options of the task.")


def told(refusal: Refusal) -> dict[str, Any]:
    """A refusal as clients of this protocol read it."""
    return {"error": refusal.message, "error_type": refusal.kind}


routes = router(told, tags=["tasks"])

_EXAMPLES = {
    "a text": {"value": {"inputs": "I like it."}},
    "with parameters": {"value": {"inputs": "I like it.", "parameters": {"top_k": 2}}},
    "a question": {"value": {"inputs": {"question": "Where?", "context": "It is in Paris."}}},
}
_Payload = Annotated[Payload, Body(openapi_examples=_EXAMPLES)]


@routes.post("/", summary="Ask the usual model its task")
async def ask(payload: _Payload, request: Request) -> Response:
    return await answer(request, payload)


@routes.post("/pipeline/{task}", summary="Ask the usual model another task")
async def ask_task(task: str, payload: _Payload, request: Request) -> Response:
    return await answer(request, payload, task=task)


@routes.post("/models/{name}", summary="Ask a model its task")
async def ask_model(name: str, payload: _Payload, request: Request) -> Response:
    return await answer(request, payload, name=name)


@routes.post("/models/{name}/pipeline/{task}", summary="Ask a model another task")
async def ask_models_task(name: str, task: str, payload: _Payload, request: Request) -> Response:
    return await answer(request, payload, name=name, task=task)


async def answer(
    request: Request, payload: Payload, *, name: str | None = None, task: str | None = None
) -> Response:
    """What a model says of a payload."""
    served = desk_of(request).models.get(name)
    value, done = await answers_to(request, payload, served, task=task)
    return answered(value, done)


async def answers_to(
    request: Request, payload: Payload, served: Served, *, task: str | None = None, hosted: bool = True
) -> tuple[Any, Done]:
    """An answer to each of the payload's inputs, or to the only one, as published; and what was done.

    Args:
        request: whose payload it is.
        payload: what is asked.
        served: who answers.
        task: other than the model's first.
        hosted: as the hosted service does, which tells all classes of a text, and entities in place of
            tokens; else as the pipelines do.

    Raises:
        Refusal: there is no answer.
    """
    given = {**(payload.model_extra or {}), **(payload.parameters or {})}
    options = {key: value for key, value in given.items() if value is not None and key not in _IDLE}
    task = served.tasks[0] if task is None else task
    # A folder that says how its vectors are made gives vectors, as the hosted service does.
    if task == "feature-extraction" and served.embeds:
        task = "sentence-embedding"
    task = served.known(task)
    options = _named(options)
    if hosted and task == "text-classification":
        options.setdefault("top_k", None)
    if hosted and task == "token-classification":
        options.setdefault("aggregation_strategy", "simple")
    single = not isinstance(payload.inputs, list)
    inputs = [payload.inputs] if single else payload.inputs
    done = await desk_of(request).answer(request, served, task, inputs, **options)
    # Of classes and vectors of one text, too, a list is told.
    lists = task == "sentence-embedding" or (
        task == "text-classification" and (hosted or "top_k" not in options)
    )
    return (done.answers[0] if single and not lists else done.answers), done


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """Options by the names that pipelines have for them."""
    if "truncate" in options:
        options["on_long"] = "truncate" if options.pop("truncate") else "error"
    if "truncation_direction" in options:
        options["truncation_side"] = str(options.pop("truncation_direction")).lower()
    return options
