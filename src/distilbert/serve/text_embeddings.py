"""The text-embeddings server's routes, with its errors and headers; its gRPC is not spoken."""

import time
from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from distilbert import __version__
from distilbert.serve.refusals import Empty, Invalid, Refusal
from distilbert.serve.routes import answered, as_json, desk_of, router
from distilbert.serve.served import Served
from distilbert.serve.texts import decoded, tokenized
from distilbert.serve.work import Done

#: What a model computes in, in this protocol's words.
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8", "int8+bf16": "int8+bfloat16"}

Direction = Literal["Left", "Right", "left", "right"]
Text = str | list[int]


class Cut(BaseModel):
    """What becomes of a text that is too long."""

    truncate: bool | None = Field(
        None, description="True cuts it, false refuses it; else as the server was told."
    )
    truncation_direction: Direction = "Right"

    @property
    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"truncation_side": self.truncation_direction.lower()}
        if self.truncate is not None:
            options["on_long"] = "truncate" if self.truncate else "error"
        return options


class Embed(Cut):
    inputs: Text | list[Text]
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = Field(None, ge=1)


class EmbedAll(Cut):
    inputs: Text | list[Text]
    prompt_name: str | None = None


class Predict(Cut):
    inputs: str | list[str] | list[list[str]] = Field(
        description="A text; two texts are a pair; several are lists of one or two."
    )
    raw_scores: bool = False


class Rerank(Cut):
    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False


class SimilarityInputs(BaseModel):
    source_sentence: str
    sentences: list[str]


class SimilarityParameters(Cut):
    prompt_name: str | None = None


class Similarity(BaseModel):
    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None


class Tokenize(BaseModel):
    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None


class Decode(BaseModel):
    ids: list[int] | list[list[int]]
    skip_special_tokens: bool = True


def told(refusal: Refusal) -> dict[str, Any]:
    """A refusal as clients of this protocol read it."""
    kind = refusal.kind
    return {"error": refusal.message, "error_type": kind}


async def _model(request: Request, model: str | None = None) -> Served:
    """The usual model, or the one that ``?model=`` names."""
    return desk_of(request).models.get(model)


Model = Annotated[Served, Depends(_model)]
routes = router(told, tags=["text embeddings"])


@routes.post("/embed", summary="Vectors of texts")
async def embed(body: Embed, request: Request, served: Model) -> Response:
    options = {**body.options, "normalize": body.normalize or None, "dimensions": body.dimensions}
    done = await _embedded(request, served, "sentence-embedding", body.inputs, body.prompt_name, **options)
    return _answered(request, served, done.answers, done)


@routes.post("/embed_all", summary="Vectors of texts' tokens")
async def embed_all(body: EmbedAll, request: Request, served: Model) -> Response:
    done = await _embedded(
        request, served, "feature-extraction", body.inputs, body.prompt_name, **body.options
    )
    return _answered(request, served, [states[0] for states in done.answers], done)


@routes.post("/embed_sparse", summary="Weighted words of texts")
async def embed_sparse(body: EmbedAll, request: Request, served: Model) -> Response:
    done = await _embedded(request, served, "sparse-embedding", body.inputs, body.prompt_name, **body.options)
    return _answered(request, served, done.answers, done)


@routes.post("/predict", summary="Labels of texts")
async def predict(body: Predict, request: Request, served: Model) -> Response:
    inputs, single = _texts_or_pairs(body.inputs)
    options = {**body.options, "top_k": None}
    if body.raw_scores:
        options["function_to_apply"] = "none"
    done = await desk_of(request).answer(request, served, "text-classification", inputs, **options)
    return _answered(request, served, done.answers[0] if single else done.answers, done)


@routes.post("/rerank", summary="Texts by how well they answer a query")
async def rerank(body: Rerank, request: Request, served: Model) -> Response:
    if not body.texts:
        raise Empty("There must be texts to rank. Received: none.")
    if served.main.config.num_labels != 1 or "text-classification" not in served.tasks:
        raise Invalid(f"The model {served.name} ranks nothing: it has more than one label, or none.")
    function = "none" if body.raw_scores else "sigmoid"
    pairs = [{"text": body.query, "text_pair": text} for text in body.texts]
    done = await desk_of(request).answer(
        request, served, "text-classification", pairs, function_to_apply=function, **body.options
    )
    ranks = [
        {"index": i, "score": found["score"], **({"text": body.texts[i]} if body.return_text else {})}
        for i, found in enumerate(done.answers)
    ]
    return _answered(request, served, sorted(ranks, key=lambda rank: -rank["score"]), done)


@routes.post("/similarity", summary="How alike texts are")
async def similarity(body: Similarity, request: Request, served: Model) -> Response:
    if not body.inputs.sentences:
        raise Empty("There must be sentences to compare. Received: none.")
    options: dict[str, Any] = {}
    if body.parameters is not None:
        options = {**body.parameters.options, "prompt_name": body.parameters.prompt_name}
    inputs = [body.inputs.model_dump()]
    done = await desk_of(request).answer(request, served, "sentence-similarity", inputs, **options)
    return _answered(request, served, done.answers[0], done)


@routes.post("/tokenize", summary="Texts as tokens")
async def tokenize(body: Tokenize, request: Request, served: Model) -> Response:
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    desk = desk_of(request)
    desk.require_few(len(texts))
    made = await desk.in_thread(
        lambda: tokenized(served, texts, special=body.add_special_tokens, prompt_name=body.prompt_name)
    )
    return as_json(made)


@routes.post("/decode", summary="Tokens as texts")
async def decode(body: Decode, request: Request, served: Model) -> Response:
    rows: Any = body.ids if body.ids and isinstance(body.ids[0], list) else [body.ids]
    desk = desk_of(request)
    desk.require_few(len(rows))
    return as_json(await desk.in_thread(lambda: decoded(served, rows, skip_special=body.skip_special_tokens)))


@routes.get("/info", summary="What a model is, and the server's limits")
async def info(request: Request, served: Model) -> Response:
    settings = desk_of(request).settings
    return as_json(
        {
            "model_id": served.name,
            "model_sha": None,
            "model_dtype": _DTYPES[served.main.precision],
            "served_model_name": served.name,
            "model_type": _kind(served),
            "max_concurrent_requests": settings.max_requests,
            "max_input_length": served.main.max_length,
            "max_batch_tokens": settings.max_waiting_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_texts,
            "auto_truncate": settings.on_long == "truncate",
            "tokenization_workers": desk_of(request).workers,
            "version": __version__,
            "sha": None,
            "docker_label": None,
            "tasks": list(served.tasks),
            "on_long": settings.on_long,
        }
    )


def _kind(served: Served) -> dict[str, Any]:
    """What a model does, in this protocol's words; null stands for a kind that it has none for."""
    config, main = served.main.config, served.tasks[0]
    labels = {
        "id2label": {str(i): label for i, label in config.id2label.items()},
        "label2id": {label: i for i, label in config.id2label.items()},
    }
    if "text-classification" in served.tasks:
        return {"reranker" if config.num_labels == 1 else "classifier": labels}
    if "sparse-embedding" in served.tasks:
        return {"embedding": {"pooling": "splade"}}
    if "sentence-embedding" in served.tasks:
        return {"embedding": {"pooling": "+".join(served.main.modules.pooling.modes)}}
    return {main: labels if main == "token-classification" else {}}


async def _embedded(
    request: Request, served: Served, task: str, inputs: Any, prompt_name: str | None, **options: Any
) -> Done:
    """Vectors of texts, or of tokens' ids, which are first made the texts that they stand for."""
    many = inputs if isinstance(inputs, list) and not _is_ids(inputs) else [inputs]
    desk = desk_of(request)
    if any(not isinstance(one, str) for one in many):
        rows = [one for one in many if not isinstance(one, str)]
        texts = iter(await desk.in_thread(lambda: decoded(served, rows, skip_special=True)))
        many = [one if isinstance(one, str) else next(texts) for one in many]
    if prompt_name is not None:
        if task == "sentence-embedding":
            options["prompt_name"] = prompt_name
        else:
            many = [served.prompt(prompt_name) + text for text in many]
    return await desk.answer(request, served, task, many, **options)


def _is_ids(inputs: list[Any]) -> bool:
    return bool(inputs) and isinstance(inputs[0], int)


def _texts_or_pairs(inputs: Any) -> tuple[list[Any], bool]:
    """Inputs of the pipeline, and whether one thing is asked: a flat list of two texts is a pair."""
    if isinstance(inputs, str):
        return [inputs], True
    if inputs and isinstance(inputs[0], str):
        return [_pair(inputs)], True
    return [_pair(one) for one in inputs], False


def _pair(texts: list[str]) -> Any:
    if len(texts) not in (1, 2):
        raise Invalid(f"What is judged is a text, or a pair of texts. Received: {len(texts)} texts together.")
    return texts[0] if len(texts) == 1 else {"text": texts[0], "text_pair": texts[1]}


def _answered(request: Request, served: Served, value: Any, done: Done) -> Response:
    """An answer with this protocol's headers, times in milliseconds."""
    seconds, precision = done.seconds, served.main.precision
    return answered(
        value,
        done,
        {
            "x-compute-type": "cpu" if precision == "fp32" else "cpu+optimized",
            "x-compute-time": _ms(sum(seconds.values())),
            "x-compute-characters": str(done.characters),
            "x-total-time": _ms(time.perf_counter() - request.state.begun),
            "x-tokenization-time": _ms(seconds["tokenization"]),
            "x-queue-time": _ms(seconds["queue"]),
            "x-inference-time": _ms(seconds["inference"]),
        },
    )


def _ms(seconds: float) -> str:
    return str(round(1000 * seconds))
