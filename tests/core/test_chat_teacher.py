"""A chat model as a teacher, against a server on loopback that answers, errs, breaks off and overflows."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback_chat import Chat, chat_server, completion, subject
from small_files import SUBJECTS, sentences

from distilbert import ChatTeacher
from distilbert.core.progress import silent
from distilbert.core.teachers.chat_client import MAX_REPLY
from distilbert.core.teachers.prompts import Prompt
from distilbert.core.teachers.replies import Reply
from distilbert.core.teachers.targets import Targets
from distilbert.errors import ConfigError, OutputError, TeacherError

LABELS = tuple(sorted(SUBJECTS))
TEXTS, _ = sentences(12, seed=5)


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chat_server() as running:
        yield running


def teacher(chat: Chat, folder: Path, **options: Any) -> ChatTeacher:
    options = {"first_wait": 0.01, "timeout": 5.0, "kept_answers": folder / "kept.jsonl", **options}
    return ChatTeacher(chat.address, model="small", **options)


def ask(who: ChatTeacher, texts: list[str] = TEXTS) -> Targets:
    return who.targets(texts, LABELS, progress=silent)


def test_log_probabilities_become_soft_labels(chat: Chat, tmp_path: Path) -> None:
    who = teacher(chat, tmp_path)
    found = ask(who, [*TEXTS, f" {TEXTS[0]}\n"])
    assert found.known.all()
    for row, text in enumerate([*TEXTS, TEXTS[0]]):
        at = LABELS.index(subject(text))
        # "A" with 0.6 and " A" with 0.2 are one class; 0.05 was for a word that is none.
        expected = np.zeros(3)
        expected[at], expected[(at + 1) % 3] = 0.8 / 0.95, 0.15 / 0.95
        np.testing.assert_allclose(found.probabilities[row], expected, atol=1e-6)
    assert len(chat.asked) == len(set(TEXTS)), "each text is asked about once"
    assert who.facts()["soft"] == 13
    asked = chat.asked[0]
    assert asked["path"] == "/v1/chat/completions"
    assert (asked["temperature"], asked["logprobs"], asked["top_logprobs"]) == (0, True, 20)
    assert "Authorization" not in asked["headers"]
    assert chat.most_at_once <= 4


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("B", 1), (" **B**\n", 1), ("B) music", 1), ("B. music", 1), ("B: it is music", 1), ("Music.", 1),
        ('"music"', 1), ("A day of sports", None), ("D", None), ("I cannot say", None), ("", None),
        ("BC", None), ("not music", None), ("sport or music", None), ("b", None), ("3.", None),
    ],
)  # fmt: skip
def test_answers_without_log_probabilities(said: str, expected: int | None) -> None:
    found = Prompt(None, LABELS).shares(Reply(said))
    assert (found and (found[0].argmax(), found[0].max(), found[1])) == (
        None if expected is None else (expected, 1.0, False)
    )


def test_an_answers_token_must_be_the_answer() -> None:
    prompt = Prompt(None, LABELS)
    top = (("A", -0.1), ("B", -3.0))
    assert prompt.shares(Reply("A", "A", top))[1]
    assert prompt.shares(Reply("A day of music", "A", top)) is None, "an article is no letter"
    assert not prompt.shares(Reply("B", "A", top))[1]
    many = Prompt(None, [f"class {i}" for i in range(30)])
    shares, soft = many.shares(Reply("12", "12", (("12", -0.1), ("1", -2.0))))
    assert (shares.argmax(), soft) == (11, False), "numbers begin with each other's tokens"


def test_what_a_prompt_holds() -> None:
    prompt = Prompt("{labels} | {text} | {x}", ["a b", "{text}"])
    assert prompt.message("say {labels}") == "A. a b\nB. {text} | say {labels} | {x}"
    with pytest.raises(ConfigError, match=r"one without \{text\}"):
        ChatTeacher("http://localhost/v1", model="m", template="{labels}")


@pytest.mark.parametrize(
    "reply",
    [
        {}, [], {"choices": []}, {"choices": [{"message": "A"}]}, {"choices": [{"message": {"content": 3}}]},
        {"choices": {"a": 1}}, None,
    ],
)  # fmt: skip
def test_what_is_no_completion(reply: Any) -> None:
    assert Reply.of_protocol(reply) is None


def test_strange_log_probabilities_are_left_out() -> None:
    def read(logprobs: Any) -> Reply | None:
        body = completion("A")
        body["choices"][0]["logprobs"] = logprobs
        return Reply.of_protocol(body)

    for strange in (
        None,
        [],
        {"content": None},
        {"content": [3]},
        {"content": [{"token": 1}]},
        {"content": "A"},
    ):
        assert read(strange).token is None
    given = [
        ("A", -0.5),
        ("B", float("nan")),
        ("C", "x"),
        (None, -1.0),
        ("D", True),
        ("E", 2.0),
        ("F", -(10**400)),
    ]
    tops = [{"token": token, "logprob": logprob} for token, logprob in given]
    found = read(
        {"content": [{"token": "\n", "top_logprobs": []}, {"token": "A", "top_logprobs": [*tops, 5]}]}
    )
    assert (found.token, found.top) == ("A", (("A", -0.5), ("E", 0.0)))
    assert read({"content": [{"token": "A", "top_logprobs": None}]}).top == ()
    counted = Reply.of_protocol(
        {**completion("A"), "usage": {"prompt_tokens": 10**400, "completion_tokens": -1}}
    )
    assert (counted.read, counted.written) == (None, None)


def test_a_busy_server_is_asked_again_after_the_time_it_says(chat: Chat, tmp_path: Path) -> None:
    chat.trouble = lambda number, text: {0: (429, {"Retry-After": "0.4"}), 1: (500, {}), 2: (503, {})}.get(
        number
    )
    found = ask(teacher(chat, tmp_path, at_once=1), TEXTS[:2])
    assert found.known.all()
    assert len(chat.asked) == 5
    assert chat.times[1] - chat.times[0] >= 0.4
    assert chat.times[2] - chat.times[1] < 0.3


def test_a_date_to_wait_for(chat: Chat, tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(seconds=2)
    chat.trouble = lambda number, text: (
        (429, {"Retry-After": format_datetime(later, usegmt=True)}) if not number else None
    )
    assert ask(teacher(chat, tmp_path), TEXTS[:1]).known.all()
    assert chat.times[1] - chat.times[0] > 0.5


def test_a_long_wait_ends_the_asking(chat: Chat, tmp_path: Path) -> None:
    chat.trouble = lambda number, text: (
        (429, {"Retry-After": "3600", "said": "enough for today"}) if number else None
    )
    with pytest.raises(
        TeacherError, match=r"429, enough for today; it asks to wait 3600 s.*kept in .*kept\.jsonl"
    ):
        ask(teacher(chat, tmp_path, at_once=1))
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        b"<html>garbage",
        b'{"choices": 3}',
        b"[" * 50_000,
        b'{"x": "' + b"x" * (MAX_REPLY + 1) + b'"}',
        (400, {}),
    ],
    ids=["garbage", "another protocol", "depth", "huge", "refused"],
)
def test_a_text_without_a_usable_reply_has_no_answer(
    trouble: Any, chat: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat.trouble = lambda number, text: trouble if text == TEXTS[3] else None
    who = teacher(chat, tmp_path)
    found = ask(who)
    assert found.known.tolist() == [text != TEXTS[3] for text in TEXTS]
    assert who.account()["failed"] == 1
    assert "1 texts have no answer; run again" in caplog.text
    assert len(chat.asked) == 12, "what is not going to pass is not tried again"
    chat.trouble = lambda number, text: None
    assert ask(teacher(chat, tmp_path)).known.all()
    assert len(chat.asked) == 13


@pytest.mark.parametrize("trouble", [b"garbage", (500, {}), (400, {})], ids=str)
def test_a_server_that_never_answers_is_given_up(trouble: Any, chat: Chat, tmp_path: Path) -> None:
    chat.trouble = lambda number, text: trouble if number >= 4 else None
    with pytest.raises(TeacherError, match="server must answer"):
        ask(teacher(chat, tmp_path, tries=2, at_once=1))
    assert len(chat.asked) == 4 + 3 * (2 if trouble == (500, {}) else 1)
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_what_holds_for_every_request_ends_the_asking_at_once(
    status: int, chat: Chat, tmp_path: Path
) -> None:
    chat.trouble = lambda number, text: (status, {"Location": "http://127.0.0.1:9/elsewhere"})
    with pytest.raises(TeacherError, match=f"status {status}, no"):
        ask(teacher(chat, tmp_path, at_once=1))
    assert len(chat.asked) == 1


def test_nobody_there(tmp_path: Path) -> None:
    who = ChatTeacher(
        "http://127.0.0.1:9/v1",
        model="m",
        first_wait=0,
        tries=2,
        kept_answers=tmp_path / "k",
        max_cost=1e9,
        price_in=1e6,
    )
    with pytest.raises(TeacherError, match="no connection.*2 times"):
        who.targets(["a", "b", "c"], LABELS, progress=silent)
    account = who.account()
    assert account["cost"] == 0, "what was not sent costs nothing"
    assert account["failed"] == 1, "that is no fault of a text"


def test_a_reply_that_breaks_off_is_asked_for_again(chat: Chat, tmp_path: Path) -> None:
    chat.trouble = lambda number, text: (200, {"Content-Length": "5000"}) if number == 0 else None
    assert ask(teacher(chat, tmp_path, timeout=0.5), TEXTS[:1]).known.all()
    assert len(chat.asked) == 2


def test_a_slow_server_is_not_waited_for_without_end(chat: Chat, tmp_path: Path) -> None:
    chat.delay = 0.6
    with pytest.raises(TeacherError, match="TimeoutError: .*, 1 times"):
        ask(teacher(chat, tmp_path, timeout=0.1, tries=1, at_once=1))


def test_unreadable_answers_are_kept_and_counted(
    chat: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat.reply = lambda text, classes: completion("I would rather not." if text == TEXTS[0] else "A")
    who = teacher(chat, tmp_path)
    assert ask(who).known.tolist() == [text != TEXTS[0] for text in TEXTS]
    assert who.facts()["unreadable"] == 1
    assert "1 answers name none of the classes" in caplog.text
    again = teacher(chat, tmp_path)
    assert not ask(again).known[0]
    assert len(chat.asked) == 12, "what was paid for is not paid for twice"
    assert again.account() == {
        "requests": 0, "kept_from_earlier": 12, "tokens_read": 600, "tokens_written": 12, "failed": 0,
        "stopped_at": None,
    }  # fmt: skip


def test_another_question_is_another_answer(chat: Chat, tmp_path: Path) -> None:
    ask(teacher(chat, tmp_path), TEXTS[:1])
    for count, options in enumerate(
        ({"more": {"seed": 1}}, {"template": "{labels}\nText:\n{text}\n\nAnswer"}), 2
    ):
        ask(teacher(chat, tmp_path, **options), TEXTS[:1])
        assert len(chat.asked) == count
    teacher(chat, tmp_path).targets(TEXTS[:1], LABELS[::-1], progress=silent)
    assert len(chat.asked) == 4


def test_requests_are_capped(chat: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    who = teacher(chat, tmp_path, max_calls=5)
    assert ask(who).known.sum() == 5
    assert len(chat.asked) == 5
    assert "Stopped asking at the greatest number of requests, 5: 7 texts have no answer" in caplog.text
    assert who.account()["stopped_at"]
    assert ask(teacher(chat, tmp_path, max_calls=5)).known.sum() == 5, "what was kept counts"
    assert len(chat.asked) == 5
    assert ask(teacher(chat, tmp_path, max_calls=12)).known.all()
    assert len(chat.asked) == 12


def test_repeated_requests_count(chat: Chat, tmp_path: Path) -> None:
    chat.trouble = lambda number, text: (500, {}) if number < 3 else None
    assert ask(teacher(chat, tmp_path, max_calls=5, at_once=1)).known.sum() == 2
    assert len(chat.asked) == 5


def test_cost_is_capped_whatever_comes_back(chat: Chat, tmp_path: Path) -> None:
    """50 tokens read and 1 written cost 0.52; before it is sent a request may cost what its bytes may."""
    prices = {"price_in": 1e4, "price_out": 2e4}
    free = teacher(chat, tmp_path, **prices, kept_answers=tmp_path / "other.jsonl")
    plan = free.plan(TEXTS, LABELS)
    assert (plan["texts"], plan["requests"], plan["kept_from_earlier"]) == (12, 12, 0)
    assert not (tmp_path / "other.jsonl").exists(), "a plan writes nothing"
    most = plan["cost_at_most"] / 12
    who = teacher(chat, tmp_path, **prices, max_cost=most + 1.2)
    known = ask(who).known.sum()
    assert 2 <= known <= 4
    account = who.account()
    assert account["cost"] == pytest.approx(0.52 * known)
    assert account["cost"] <= most + 1.2
    assert account["stopped_at"].startswith("the greatest cost")
    asked = len(chat.asked)
    ask(teacher(chat, tmp_path, **prices, max_cost=most + 1.2))
    assert len(chat.asked) == asked, "the same cap buys the same"
    chat.reply = lambda text, classes: {**completion("A"), "usage": None}
    silent_one = teacher(chat, tmp_path, **prices, max_cost=2.5 * most, kept_answers=tmp_path / "b.jsonl")
    assert ask(silent_one).known.sum() == 2, "a server that does not count is taken to charge the most"
    with pytest.raises(ConfigError, match="needs prices"):
        teacher(chat, tmp_path, max_cost=1.0)
    with pytest.raises(ConfigError, match="greatest length of an answer"):
        teacher(chat, tmp_path, max_cost=1.0, price_in=1.0, more={"max_tokens": None})


def test_a_key_is_sent_and_seen_nowhere(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("A_KEY", "secret-0123")
    caplog.set_level(logging.DEBUG)
    who = teacher(chat, tmp_path, key_variable="A_KEY", at_once=1)
    ask(who, TEXTS[:1])
    assert chat.asked[0]["headers"]["Authorization"] == "Bearer secret-0123"
    chat.trouble = lambda number, text: (401, {"said": "the key secret-0123 is wrong"})
    with pytest.raises(TeacherError, match="the key … is wrong") as refused:
        ask(who, TEXTS[1:2])
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    shown = [str(refused.value), caplog.text, written, str(who.facts()), str(who.account()), repr(vars(who))]
    assert not any("secret-0123" in text for text in shown)
    assert TEXTS[0] not in written, "nor are texts kept"
    for value, said in (("", "must be set"), ("two\nlines", "one word of plain characters")):
        monkeypatch.setenv("A_KEY", value)
        with pytest.raises(ConfigError, match=said):
            teacher(chat, tmp_path, key_variable="A_KEY")
    monkeypatch.setenv("A_KEY", "secret-0123")
    with pytest.raises(ConfigError, match="travels over https"):
        ChatTeacher("http://example.org/v1", model="m", key_variable="A_KEY")


@pytest.mark.parametrize(
    "address",
    ["ftp://host/v1", "http://", "https://host:x/v1", "http://a b/", "https://host:0/v1", "file:///etc"],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigError, match="http:// or https://"):
        ChatTeacher(address, model="m")


def test_a_password_in_an_address_is_refused_unseen() -> None:
    with pytest.raises(ConfigError, match="must hold no password") as refused:
        ChatTeacher("https://me:secret@host/v1", model="m")
    assert "secret@" not in str(refused.value)


def test_answers_that_cannot_be_kept_are_not_bought(chat: Chat, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OutputError, match="must be writable"):
        ask(teacher(chat, tmp_path, kept_answers=tmp_path / "taken" / "kept.jsonl"))
    assert not chat.asked


def test_a_line_that_is_not_whole_is_passed_over(
    chat: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask(teacher(chat, tmp_path))
    kept = tmp_path / "kept.jsonl"
    whole = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join([*whole[:5], "[]\n", "garbage\n", '{"key": "x", "text": 3}\n', whole[5][:40]]))
    assert ask(teacher(chat, tmp_path)).known.all()
    assert len(chat.asked) == 12 + 7
    assert "3 lines of" in caplog.text
    assert ask(teacher(chat, tmp_path)).known.all()
    assert len(chat.asked) == 12 + 7, "the line after the broken one is whole"


_CHILD = """
import sys
from distilbert import ChatTeacher
texts = [f"soup number {i}" for i in range(40)]
ChatTeacher(sys.argv[1], model="small", kept_answers=sys.argv[2], at_once=2).targets(
    texts, ("food", "music", "sport"), progress=lambda *a: None)
print("done")
"""


def test_a_killed_process_has_lost_nothing_that_it_bought(chat: Chat, tmp_path: Path) -> None:
    chat.delay = 0.02
    command = [sys.executable, "-c", _CHILD, chat.address, str(tmp_path / "kept.jsonl")]
    child = subprocess.Popen(command, env={**os.environ})
    while len(chat.asked) < 15:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    time.sleep(0.3)  # what it had sent arrives
    before = len(chat.asked)
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert before - 2 * 2 <= len(kept) <= before < 40
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
    assert len(chat.asked) == before + 40 - len(kept)


def test_two_processes_do_not_buy_the_same(chat: Chat, tmp_path: Path) -> None:
    chat.delay = 0.02
    command = [sys.executable, "-c", _CHILD, chat.address, str(tmp_path / "kept.jsonl")]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert len(chat.asked) == 40


def test_stopping_leaves_at_once(chat: Chat, tmp_path: Path) -> None:
    chat.trouble = lambda number, text: (503, {"Retry-After": "100"}) if number else None

    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        if done:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        teacher(chat, tmp_path).targets(TEXTS, LABELS, progress=progress)
    assert time.monotonic() - started < 3


def test_progress_counts_what_is_asked(chat: Chat, tmp_path: Path) -> None:
    ask(teacher(chat, tmp_path), TEXTS[:4])
    told = []
    teacher(chat, tmp_path, price_in=1.0).targets(
        TEXTS, LABELS, progress=lambda stage, done, total, facts: told.append((done, total, dict(facts)))
    )
    assert told[0][:2] == (0, 8)
    assert told[-1][:2] == (8, 8)
    assert told[-1][2]["cost"] > told[0][2].get("cost", 0)
