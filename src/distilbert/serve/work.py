"""What becomes of a request: let in, tokenised, computed, answered; or not, and why."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request as Asked

from distilbert.core.machine import usable_cores
from distilbert.engine.pipelines.abstract import Call
from distilbert.errors import ConfigError, DataError, DistilBertError
from distilbert.serve.admission import Admission
from distilbert.serve.metrics import Metrics
from distilbert.serve.models import Models
from distilbert.serve.refusals import Empty, Failed, Gone, Invalid, Late, Refusal, Unready
from distilbert.serve.served import Served
from distilbert.serve.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """What was answered.

    Attributes:
        answers: to each input.
        characters: of all texts.
        tokens: that were read.
        cut: texts that lost some of their tokens.
        dropped: these tokens.
        windowed: texts that were read in several windows.
        begun: with it, by ``time.perf_counter``.
        seconds: of ``tokenization``, ``queue`` and ``inference``, one after the other.
    """

    answers: list[Any]
    characters: int
    tokens: int
    cut: int
    dropped: int
    windowed: int
    begun: float
    seconds: dict[str, float]


class Desk:
    """Where requests of all protocols come to. For one event loop.

    Args:
        models: that answer.
        settings: the server's.
        metrics: what is done is told to them.
    """

    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        self.models, self.settings, self.metrics = models, settings, metrics
        self.admission = Admission(
            most_tokens=settings.max_waiting_tokens,
            most_requests=settings.max_requests,
            key_requests=settings.key_requests,
            deadline=settings.deadline,
        )
        #: When all has to be answered, by the event loop's clock, once the server is told to stop.
        self.ends: float | None = None
        #: Held by the one request that looks at what a model attends to.
        self.looking = asyncio.Lock()
        #: Threads that tokenise and make answers.
        self.workers = max(2, usable_cores())
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="distilbert-texts")

    async def answer(
        self, asked: Asked, served: Served, task: str, inputs: list[Any], **options: Any
    ) -> Done:
        """Answers to inputs of one request.

        Args:
            asked: the request, whose body has been read.
            served: who answers.
            task: a published one.
            inputs: of it.
            **options: of the pipeline's call.

        Raises:
            Refusal: there is no answer.
        """
        if not inputs:
            raise Empty("Something must be asked. Received: nothing.")
        if self.settings.log_texts:
            asked.state.texts = inputs
        texts, characters = measure(inputs)
        begin = partial(_begin, served, task, inputs, options)
        return await self.called(asked, served, begin, texts=texts, characters=characters)

    async def called(
        self, asked: Asked, served: Served, begin: Callable[[], Call], *, texts: int, characters: int
    ) -> Done:
        """The same of a pipeline's call.

        Args:
            asked: the request.
            served: whose pipeline it is.
            begin: makes the call; in another thread.
            texts: how many it has.
            characters: of all of them.

        Raises:
            Refusal: there is no answer.
        """
        if self.ends is not None and asyncio.get_running_loop().time() >= self.ends:
            raise Unready("The server is being stopped.")
        self.require_few(texts)
        key = getattr(asked.state, "key", "")
        with served, self.admission.enter(key=key, characters=characters, texts=texts) as place:
            begun = time.perf_counter()
            call: Call = await self.in_thread(begin)
            place.correct(call.tokens)
            tokenised = time.perf_counter()
            request = call.submit()
            found = await self._waited_for(asked, request)
            place.computed = call.tokens
            computed = time.perf_counter()
            answers = await self.in_thread(lambda: list(call.answers(found)))
        started = request.begun or computed
        told = call.begun
        seconds = {
            "tokenization": tokenised - begun,
            "queue": started - tokenised,
            "inference": computed - started,
        }
        done = Done(answers, characters, call.tokens, told.cut, told.dropped, told.windowed, begun, seconds)
        asked.state.done, asked.state.model = done, served.name
        self.metrics.answered(served.name, done)
        return done

    def require_few(self, texts: int) -> None:
        """Refuse a request of too many texts.

        Raises:
            Invalid: they are.
        """
        most = self.settings.max_texts
        if texts > most:
            raise Invalid(
                f"A request must have at most {most} texts. Received: {texts}. Send them in several."
            )

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """What is too much for the event loop, in another thread.

        Raises:
            Refusal: it cannot be done.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (ConfigError, DataError) as error:
            raise Invalid(str(error)) from None
        except (DistilBertError, MemoryError) as error:
            logger.exception("a request was not answered")
            raise Failed("The model could not answer. The log says why.") from error

    async def _waited_for(self, asked: Asked, request: Any) -> Any:
        """What the model gives, unless it takes too long or nobody wants it any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience(asked)
        if self.ends is not None:
            until = min(until, self.ends)
        found = asyncio.wrap_future(request)
        left = asyncio.ensure_future(_left(asked))
        try:
            while not found.done():
                # The server may be told to stop meanwhile.
                ends = until if self.ends is None else min(until, self.ends)
                wait = min(1.0, ends - loop.time())
                if wait <= 0:
                    raise Late("The answer was not there in time.", retry_after=1)
                await asyncio.wait((found, left), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                if left.done() and not found.done():
                    raise Gone("Whoever asked has left.")
            return found.result()
        except (asyncio.CancelledError, CancelledError):
            if request.cancelled():
                raise Unready("The model was let go before it answered.", retry_after=1) from None
            raise
        except Refusal:
            raise
        except Exception as error:
            logger.exception("a model failed")
            raise Failed("The model could not answer. The log says why.") from error
        finally:
            left.cancel()
            # What of it waits is not computed. Here, since through the loop's own future it would be told
            # later than whoever asked.
            request.cancel()

    def _patience(self, asked: Asked) -> float:
        """The seconds that a request is waited for: as it says, and no more than the server's own."""
        said = asked.headers.get("x-request-timeout")
        most = self.settings.deadline
        if said is None:
            return most
        try:
            seconds = float(said)
        except ValueError:
            seconds = -1.0
        if not seconds > 0:
            raise Invalid(f"X-Request-Timeout is a number of seconds. Received: {said:.40}.")
        return min(seconds, most)


def _begin(served: Served, task: str, inputs: list[Any], options: dict[str, Any]) -> Call:
    return served.pipeline(task).begin(inputs, apart=True, **options)


async def _left(asked: Asked) -> None:
    """Returns when whoever asked has left."""
    while (await asked.receive())["type"] != "http.disconnect":
        pass


def measure(given: Any) -> tuple[int, int]:
    """How many texts there are in what was given, however it is nested, and their characters."""
    texts = characters = 0
    waiting = [given]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            texts, characters = texts + 1, characters + len(one)
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, Iterable):
            waiting += one
    return texts, characters
