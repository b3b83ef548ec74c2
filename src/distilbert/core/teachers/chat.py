"""A model behind a server of the OpenAI chat protocol as a teacher."""

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, NamedTuple

import numpy as np

from distilbert.core import rules
from distilbert.core.progress import Progress
from distilbert.core.teachers.answer_cache import AnswerCache, key_of, usual_place
from distilbert.core.teachers.chat_client import ChatClient, NoAnswerError
from distilbert.core.teachers.prompts import Prompt
from distilbert.core.teachers.purse import Purse
from distilbert.core.teachers.replies import Reply
from distilbert.core.teachers.targets import Targets
from distilbert.errors import ConfigError, TeacherError

logger = logging.getLogger(__name__)

#: So many requests in a row that come to nothing, and it is not the texts.
_GIVE_UP_AFTER = 3

#: Tokens of an answer: a letter, and some room for those who cannot be brief.
_ANSWER_TOKENS = 8

#: What the protocol gives at most.
_TOP = 20

#: Tokens that a server adds around a message. Of the message itself a token has at least a byte.
_FRAME = 64

_STAGE = "ask the teacher"


class _Question(NamedTuple):
    key: str
    body: bytes
    most: tuple[int, int]


class ChatTeacher:
    """A chat model that is asked for each text's class, and its answers, which are kept.

    Each text is one request: a prompt that lists the classes by letter, temperature 0, with log-probabilities
    asked for. Where the server gives them the answer is soft, else hard (see ``Prompt.shares``). An answer
    that names no class is kept and counted, and the text has none.

    Answers are added to a file as they come (see ``AnswerCache``) and are never asked for again by a request
    that is the same: address, model, prompt, classes, text and all. So a run that was ended goes on where it
    was. A server that is busy or broken is tried again, after the time that it asks for.

    Args:
        address: the protocol's root, such as ``https://host/v1``.
        model: the model's name there.
        template: the prompt, with places ``{text}`` and ``{labels}``; None for ``prompts.DEFAULT``.
        key_variable: the environment variable that holds the key; None sends none.
        max_calls: requests, repeated ones and those of kept answers to these texts included.
        max_cost: of all answers to these texts, those kept from earlier included.
        price_in, price_out: of a million tokens read and written.
        at_once: requests under way together.
        timeout: seconds of one try.
        tries: of one request.
        first_wait: seconds before the second try; the next waits are twice as long each.
        kept_answers: the file of answers; None for one in the user's cache.
        more: further fields of each request; None as a value leaves one of ours out.

    Raises:
        ConfigError: an argument that cannot be used, or no such variable.
    """

    kind: ClassVar[str] = "chat model"
    paid: ClassVar[bool] = True

    def __init__(
        self,
        address: str,
        *,
        model: str,
        template: str | None = None,
        key_variable: str | None = None,
        max_calls: int | None = None,
        max_cost: float | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
        at_once: int = 4,
        timeout: float = 60.0,
        tries: int = 6,
        first_wait: float = 1.0,
        kept_answers: str | Path | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.template = model, template
        Prompt(template, ("a", "b"))
        self._at_once = rules.integer(1, 256)("at_once", at_once)
        self._client = ChatClient(
            address,
            key=None if key_variable is None else _key(key_variable),
            timeout=rules.number(0.001, 86_400)("timeout", timeout),
            tries=rules.integer(1, 100)("tries", tries),
            first_wait=rules.number(0, 3600)("first_wait", first_wait),
        )
        self._purse = Purse(price_in=price_in, price_out=price_out, max_calls=max_calls, max_cost=max_cost)
        self._more = dict(more or {})
        if max_cost is not None and self._written() is None:
            raise ConfigError(
                "A greatest cost needs a greatest length of an answer.",
                received="requests without max_tokens or max_completion_tokens",
                remedy="Leave one of them in the requests, or give no max_cost.",
            )
        address = self._client.address
        self._cache = AnswerCache(Path(kept_answers) if kept_answers else usual_place(address, model))
        self._entered: set[str] = set()
        self._soft = self._unreadable = self._failed = 0

    def targets(self, texts: Sequence[str], labels: Sequence[str], *, progress: Progress) -> Targets:
        """Its answers; texts that it did not answer, or must not be asked about any more, have none.

        Raises:
            OutputError: answers cannot be kept; nothing was asked then.
            TeacherError: the server does not answer; what it did answer is kept.
        """
        prompt = Prompt(self.template, labels)
        questions = self._questions(texts, prompt)
        wanted = {question.key: question for question in questions.values()}
        with self._cache.opened(wanted, progress) as replies:
            for key in replies:
                if key not in self._entered:
                    self._entered.add(key)
                    self._purse.enter_kept(replies[key], *wanted[key].most)
            asked = [question for key, question in wanted.items() if key not in replies]
            with closing(self._asked(asked, progress)) as coming:
                for key, answer in coming:
                    self._entered.add(key)
                    self._cache.add(key, answer)
                    replies[key] = answer
        shares = np.full((len(texts), len(labels)), 1 / len(labels))
        known = np.zeros(len(texts), np.bool_)
        self._soft = self._unreadable = 0
        for row, text in enumerate(texts):
            if (reply := replies.get(questions[text].key)) is None:
                continue
            if (found := prompt.shares(reply)) is None:
                self._unreadable += 1
                continue
            shares[row], soft = found
            known[row] = True
            self._soft += soft
        if self._unreadable:
            logger.warning("%d answers name none of the classes.", self._unreadable)
        return Targets.of_probabilities(shares, known)

    def plan(self, texts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
        """What asking would come to: requests, answers from earlier, and with prices the cost at most.

        Nothing is asked, and nothing written.
        """
        prompt = Prompt(self.template, labels)
        questions = {question.key: question for question in self._questions(texts, prompt).values()}
        kept = self._cache.standing(questions)
        cost = sum(self._purse.price(*question.most, kept.get(key)) for key, question in questions.items())
        asked = len(questions) - len(kept)
        found = {"texts": len(questions), "requests": asked, "kept_from_earlier": len(kept)}
        return {**found, "cost_at_most": round(cost, 6)} if self._purse.priced else found

    def facts(self) -> dict[str, Any]:
        return {
            "address": self._client.address.partition("?")[0],
            "model": self.model,
            "prompt": self.template,
            "soft": self._soft,
            "unreadable": self._unreadable,
        }

    def account(self) -> dict[str, Any]:
        return {**self._purse.account(), "failed": self._failed, "stopped_at": self._purse.closed}

    def _questions(self, texts: Sequence[str], prompt: Prompt) -> dict[str, _Question]:
        """By text. Space around a text makes no other question of it, wherever the text was read from."""
        return {text: self._question(prompt.message(text.strip())) for text in dict.fromkeys(texts)}

    def _question(self, message: str) -> _Question:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": message}],
            "temperature": 0,
            "max_tokens": _ANSWER_TOKENS,
            "logprobs": True,
            "top_logprobs": _TOP,
            **self._more,
        }
        sent = {name: value for name, value in body.items() if value is not None}
        try:
            content = json.dumps(sent, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError(
                "A request must be JSON of valid Unicode.",
                received=f"{error}"[:200],
                remedy="Correct the text, or the further fields of the request.",
            ) from None
        return _Question(
            key_of(self._client.address, content), content, (len(content) + _FRAME, self._written() or 0)
        )

    def _written(self) -> int | None:
        """The most tokens that an answer may have; None where nothing bounds it."""
        fields = {"max_tokens": _ANSWER_TOKENS, **self._more}
        given = [fields.get(name) for name in ("max_tokens", "max_completion_tokens")]
        found = [value for value in given if isinstance(value, int)]
        return max(found, default=None)

    def _asked(
        self, questions: Sequence[_Question], progress: Progress
    ) -> Generator[tuple[str, Reply], None, None]:
        """Replies as they come, a few requests at once, as long as the purse lets them through."""
        todo: SimpleQueue[_Question | None] = SimpleQueue()
        done: SimpleQueue[tuple[_Question, Reply | BaseException]] = SimpleQueue()
        waiting, total = deque(questions), len(questions)
        under_way = in_a_row = settled = answered = 0
        self._client.stopping.clear()
        workers = min(self._at_once, total)
        if total:
            progress(_STAGE, 0, total, {})
        for _ in range(workers):
            # Whoever leaves does not wait for a server that says nothing.
            threading.Thread(target=self._work, args=(todo, done), daemon=True).start()
        try:
            while waiting or under_way:
                while waiting and under_way < workers and self._purse.admit(*waiting[0].most):
                    todo.put(waiting.popleft())
                    under_way += 1
                if not under_way:
                    break
                try:
                    question, answer = done.get(timeout=0.25)
                except Empty:
                    if settled:  # at 0 a stage begins
                        progress(_STAGE, settled, total, self._shown())
                    continue
                under_way, settled = under_way - 1, settled + 1
                reply = answer if isinstance(answer, Reply) else None
                self._purse.settle(*question.most, reply)
                if reply is not None:
                    in_a_row, answered = 0, answered + 1
                    yield question.key, reply
                else:
                    in_a_row += 1
                    self._note_failure(answer, in_a_row)
                progress(_STAGE, settled, total, self._shown())
        finally:
            self._client.stopping.set()
            for _ in range(workers):
                todo.put(None)
        if answered < total:
            self._say_what_lacks(total - answered)

    def _work(
        self,
        todo: "SimpleQueue[_Question | None]",
        done: "SimpleQueue[tuple[_Question, Reply | BaseException]]",
    ) -> None:
        while (question := todo.get()) is not None:
            try:
                done.put((question, self._client.ask(question.body, self._purse, question.most)))
            except BaseException as error:  # raised again by whoever waits for it
                done.put((question, error))

    def _note_failure(self, answer: Any, in_a_row: int) -> None:
        """Go on without an answer, unless it is not the text's fault."""
        if not isinstance(answer, NoAnswerError):
            raise answer
        if not answer.stopped:
            self._failed += 1
            logger.info("No answer to a text: %s.", answer)
            if answer.lasting or in_a_row >= _GIVE_UP_AFTER:
                raise self._given_up(answer)

    def _shown(self) -> dict[str, float]:
        found: dict[str, float] = {"cost": self._purse.cost} if self._purse.priced else {}
        return {**found, "failed": self._failed} if self._failed else found

    def _say_what_lacks(self, texts: int) -> None:
        if self._purse.closed:
            logger.warning(
                "Stopped asking at %s: %d texts have no answer. What was answered is kept in %s.",
                self._purse.closed,
                texts,
                self._cache.path,
            )
        else:
            logger.warning("%d texts have no answer; run again to ask for them once more.", texts)

    def _given_up(self, answer: NoAnswerError) -> TeacherError:
        return TeacherError(
            "A teacher's server must answer.",
            received=f"from {self._client.address.partition('?')[0]}: {answer}",
            remedy="Check address, model and key, or wait; run the same again to go on: what was answered is "
            f"kept in {self._cache.path}.",
        )


def _key(variable: str) -> str:
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigError(
            "The environment variable of a key must be set.",
            received=f"nothing in {variable}",
            remedy=f"Set it: export {variable}=…",
        )
    return key
