"""Text over HTTP, answers back: what does a server cost on top of its engine, and does it keep its word?

A DistilBERT of the published size with random weights classifies texts behind ``distilbert serve``, in
processes of their own: the server, and who loads it. Texts of all lengths by 32 clients, beside the engine in
this process and beside the server that people write first, FastAPI around the peer's pipeline; short texts by
one client; ten times as many requests as can be answered; many requests of mixed sizes with faults among
them, through a small model; and the start of a server whose model was made fast for this machine. Every
answer is held against the engine's.

  python benchmarks/serving.py            about an hour on two cores
  python benchmarks/serving.py --quick    small models, few requests
"""

import argparse
import json
import math
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from engine_elsewhere import NotHereError, interpreter
from engine_models import classifier, embedder, kept, require_data, size_of
from measuring import conclude, ragged_texts, row, say, table
from serving_load import FAULTS

from distilbert import export, load

CLIENTS = 32
#: Into how many parts the texts are dealt.
PARTS = 7
#: Seconds of a request, as the server has it by itself.
DEADLINE = 30.0
#: Of the requests of mixed sizes, one in so many is a fault.
EVERY = 50
#: Requests a second that leave one process at their time, and leave the server time to answer.
MOST = 250.0
#: What computes in fp32, whatever was optimised.
EXACT = "onnx"
#: Scores of one text in batches of other sizes: in fp32, and in whole numbers, whose ranges are a batch's.
APART, APART_IN_WHOLE = 1e-4, 0.25


@dataclass
class Server:
    """A process that answers at a port."""

    process: "subprocess.Popen[Any]"
    port: int

    @property
    def resident(self) -> int:
        """Its memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return 1024 * int(found[1])

    def until_ready(self) -> None:
        for _ in range(60_000):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60):
                    return
            except OSError:
                if self.process.poll() is not None:
                    raise NotHereError("its server ended at its start") from None
                time.sleep(0.002)
        raise NotHereError("its server did not get ready")


class Load:
    """Who loads a server, in a process of its own, with one plan after the other."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("serving_load.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, server: Server, requests: Sequence[Any], *, path: str = "/", **how: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        plan = {"port": server.port, "path": path, "requests": list(requests), **how}
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small models, few requests")
    args = parser.parse_args()
    require_data()
    quick, size = args.quick, size_of(args.quick)
    folder = classifier(small=quick)
    texts = ragged_texts(0.04 if quick else 1.0)
    loader = Load()
    try:
        rows, _ = throughput(folder, loader, texts, size, runtime="auto")
        in_fp32, capacity = throughput(folder, loader, texts, size, runtime=EXACT)
        rows += in_fp32
        for what, made in (("classify", classifier), ("embed", embedder)):
            rows += beside_infinity(made(small=quick), loader, texts, size, what=what, make=not quick)
        rows += one_client(folder, loader, 30 if quick else 400, size)
        rows += overload(folder, loader, texts, capacity, 5 if quick else 60, size)
        rows += many(classifier(small=True), loader, texts, 1000 if quick else 100_000)
        rows += start(folder, size)
    finally:
        loader.close()
    names = ("onnxruntime", "fastapi", "uvicorn", "torch", "transformers", "tokenizers", "numpy")
    conclude("serving", rows, names)


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Server]:
    """Ours, as anybody starts it."""
    with at_a_port(
        [sys.executable, "-m", "distilbert", "serve", str(folder), "--quiet", *words, "--port"]
    ) as it:
        yield it


@contextmanager
def serving_peer(folder: Path) -> Iterator[Server]:
    script = Path(__file__).with_name("serving_peer.py")
    with at_a_port([sys.executable, str(script), str(folder)]) as it:
        yield it


@contextmanager
def serving_infinity(folder: Path, engine: str, *, make: bool) -> Iterator[Server]:
    """In its own environment."""
    program = interpreter("infinity-emb", make=make).with_name("infinity_emb")
    words = ["v2", "--model-id", str(folder), "--served-model-name", "peer", "--host", "127.0.0.1",
             "--engine", engine, "--device", "cpu", "--no-bettertransformer", "--port"]  # fmt: skip
    ours = ("PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    with at_a_port([str(program), *words], environment) as it:
        yield it


@contextmanager
def at_a_port(words: Sequence[str], environment: dict[str, str] | None = None) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*words, str(port)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
    )
    server = Server(process, port)
    try:
        server.until_ready()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def asked(text: str) -> str:
    return json.dumps({"inputs": text})


def throughput(
    folder: Path, loader: Load, texts: list[str], size: str, *, runtime: str
) -> tuple[list[dict[str, Any]], float]:
    """Texts of all lengths, by the engine, by clients of ours and the peer's; ours in texts a second."""
    spent: dict[str, list[float]] = {"engine": [], "ours": [], "peer": []}
    with (
        load(folder, runtime=runtime) as engine,
        serving(folder, "--runtime", runtime) as ours,
        serving_peer(folder) as theirs,
    ):
        answers, precision = known(engine, texts), f"{engine.runtime} {engine.precision}"
        apart = APART if engine.precision == "fp32" else APART_IN_WHOLE
        for part in range(-1, PARTS):
            say(f"throughput: part {part + 1} of {PARTS}" if part >= 0 else "throughput: to warm up")
            given = texts[:8] if part < 0 else texts[part::PARTS]
            bodies = [asked(text) for text in given]
            taken = {}
            for name in list(spent)[:: -1 if part % 2 else 1]:
                if name == "engine":
                    begun = time.perf_counter()
                    engine(given)
                    taken[name] = time.perf_counter() - begun
                    continue
                told = loader.run(ours if name == "ours" else theirs, bodies, clients=CLIENTS)
                taken[name] = told["seconds"]
                require_right(told["found"], given, answers, apart=None if name == "peer" else apart)
            if part >= 0:
                for name, own in taken.items():
                    spent[name].append(own)
    rates = {name: len(texts) / sum(own) for name, own in spent.items()}
    print(f"\n{len(texts)} ragged texts, {size}, {precision}, through HTTP by {CLIENTS} clients")
    table(
        ("", "texts/s", "seconds by part"),
        [
            [name, f"{rate:.1f}", f"{min(spent[name]):.2f}-{max(spent[name]):.2f}"]
            for name, rate in rates.items()
        ],
    )
    case = f"{len(texts)} ragged texts, {CLIENTS} clients, {precision}, {size}"
    return [
        row(case, "texts_per_s", rates["ours"], "the engine's own", rates["engine"], target=0.85, more=True),
        row(case, "texts_per_s", rates["ours"], "FastAPI and a transformers pipeline", rates["peer"],
            target=5.0, more=True),
    ], rates["ours"]  # fmt: skip


def beside_infinity(
    folder: Path, loader: Load, texts: list[str], size: str, *, what: str, make: bool
) -> list[dict[str, Any]]:
    """Texts of all lengths by clients of ours, as optimised, and of infinity-emb's, with either engine."""
    ours, its = {"classify": ("/predict", "/classify"), "embed": ("/embed", "/embeddings")}[what]
    rows = []
    for engine in ("torch", "optimum"):
        model = folder
        if engine == "optimum":
            model = kept(f"{folder.name}-onnx", lambda made: export(folder, to="onnx", out=made) and None)
        spent: dict[str, list[float]] = {"ours": [], "infinity-emb": []}
        try:
            with serving(folder) as mine, serving_infinity(model, engine, make=make) as other:
                for part in range(-1, PARTS):
                    say(f"{what} beside infinity-emb with {engine}: part {part + 1} of {PARTS}")
                    given = texts[:8] if part < 0 else texts[part::PARTS]
                    asking = {
                        "ours": (mine, ours, [asked(text) for text in given]),
                        "infinity-emb": (
                            other,
                            its,
                            [json.dumps({"model": "peer", "input": [text]}) for text in given],
                        ),
                    }
                    for name in list(asking)[:: -1 if part % 2 else 1]:
                        server, path, bodies = asking[name]
                        told = loader.run(server, bodies, path=path, clients=CLIENTS)
                        if any(status != 200 for _, status, *_ in told["found"]):
                            sys.exit(f"{name}: a text was not answered.")
                        if part >= 0:
                            spent[name].append(told["seconds"])
        except NotHereError as error:
            print(f"infinity-emb with {engine} takes no part: {error}", file=sys.stderr)
            continue
        rates = {name: len(texts) / sum(own) for name, own in spent.items()}
        print(f"\n{what}, {len(texts)} ragged texts, {size}, {CLIENTS} clients, infinity-emb with {engine}")
        table(("", "texts/s"), [[name, f"{rate:.1f}"] for name, rate in rates.items()])
        case = f"{what}, {len(texts)} ragged texts, {CLIENTS} clients, as optimised, {size}"
        peer = f"infinity-emb, {engine}"
        rows.append(
            row(case, "texts_per_s", rates["ours"], peer, rates["infinity-emb"], target=2.0, more=True)
        )
    return rows


def known(engine: Any, texts: Sequence[str]) -> dict[str, tuple[str, float]]:
    """What is right: each text's class and score, by itself."""
    return {text: (found.label, found.score) for text, found in zip(texts, engine(list(texts)), strict=True)}


def require_right(
    found: Sequence[Any],
    texts: Sequence[str],
    answers: dict[str, tuple[str, float]],
    *,
    apart: float | None,
) -> None:
    """Each asked once, each answered once, and rightly.

    Args:
        found: as the load tells it.
        texts: that were asked.
        answers: that are right.
        apart: scores, at most; None for the peer's, which cuts what ours reads in windows.
    """
    if sorted(place for place, *_ in found) != list(range(len(texts))):
        sys.exit("Answers are lost or doubled.")
    for place, status, _, label, score in found:
        right, its = answers[texts[place]]
        if status != 200:
            sys.exit(f"A text was told {status}.")
        # Of two labels the other one has what is left.
        own = score if label == right else 1 - score
        if apart is not None and abs(own - its) > apart:
            sys.exit(f"{label} {score} in place of {right} {its}.")


def one_client(folder: Path, loader: Load, times: int, size: str) -> list[dict[str, Any]]:
    """A short text at a time, which waits for nobody."""
    text = "a fine day for a song of the choir"
    say("one client")
    spent: dict[str, list[float]] = {"engine": [], "ours": []}
    with load(folder) as engine, serving(folder) as server:
        how = f"{engine.runtime} {engine.precision}"
        for turn in range(11):
            own = []
            for _ in range(times // 10):
                begun = time.perf_counter()
                engine(text)
                own.append(1000 * (time.perf_counter() - begun))
            told = loader.run(server, [asked(text)] * (times // 10), clients=1)
            if turn:  # after one to warm up
                spent["engine"] += own
                spent["ours"] += [ms for _, _, ms, _, _ in told["found"]]
    halves = {name: statistics.median(own) for name, own in spent.items()}
    print(f"\none client, a short text, {size}, {how}")
    table(
        ("", "p50 ms", "p99 ms"),
        [[name, f"{halves[name]:.2f}", f"{np.quantile(own, 0.99):.2f}"] for name, own in spent.items()],
    )
    more = max(halves["ours"] - halves["engine"], 1e-3)
    case = f"one client, a short text, {how}, {size}"
    return [row(case, "p50_ms_above_engine", more, "what is allowed", 2.0, target=1.0)]


def overload(
    folder: Path, loader: Load, texts: list[str], capacity: float, length: float, size: str
) -> list[dict[str, Any]]:
    """Ten times as many requests as can be answered, as they come."""
    # Of a small model one process cannot ask too much but in requests of several texts.
    each = max(1, math.ceil(10 * capacity / MOST))
    rate = 10 * capacity / each
    count = int(rate * length)
    say(f"overload: {count} requests of {each} in {length:.0f} seconds")
    given = list(islice(cycle(texts), count))
    filling = list(islice(cycle(texts), each - 1))
    bodies = [json.dumps({"inputs": [text, *filling]}) for text in given]
    with load(folder, runtime=EXACT) as engine, serving(folder, "--runtime", EXACT) as server:
        answers = known(engine, texts)
        loader.run(server, [asked(text) for text in texts[:64]], clients=CLIENTS)
        loader.run(server, bodies[: count // 6], rate=rate)
        before = server.resident
        found = loader.run(server, bodies, rate=rate)["found"]
        after = server.resident
    if sorted(place for place, *_ in found) != list(range(count)):
        sys.exit("overload: answers are lost or doubled.")
    statuses = Counter(status for _, status, *_ in found)
    accepted = [one for one in found if one[1] == 200]
    require_right(
        [(i, *rest) for i, (_, *rest) in enumerate(accepted)],
        [given[place] for place, *_ in accepted],
        answers,
        apart=APART,
    )
    refused = [ms for _, status, ms, _, _ in found if status == 429]
    others = count - len(accepted) - len(refused)
    late = float(np.quantile([ms for _, _, ms, _, _ in accepted], 0.99)) / 1000
    told = float(np.quantile(refused, 0.99)) if refused else 0.001
    print(f"\nten times as much as can be answered, for {length:.0f} s, {size}: {dict(statuses)}")
    print(
        f"accepted: p99 {late:.2f} s, {each * len(accepted) / length:.1f} texts/s; refused: p99 {told:.1f} ms"
    )
    if others:
        print(Counter(why for _, status, _, why, _ in found if status not in (200, 429)))
    print(f"memory: {before / 1e6:.0f} MB, then {after / 1e6:.0f} MB")
    case = f"ten times as much as can be answered, {length:.0f} s, fp32, {size}"
    return [
        row(case, "accepted_p99_seconds", late, "the deadline", DEADLINE, target=1.0),
        row(case, "refused_p99_ms", told, "what is allowed", 50.0, target=1.0),
        row(case, "neither_200_nor_429", max(others, 1e-3), "what is allowed, none", 1e-3, target=1.0),
        row(case, "memory", after, "before it", before * 1.05, target=1.0),
    ]


def many(folder: Path, loader: Load, texts: list[str], count: int) -> list[dict[str, Any]]:
    """Requests of mixed sizes for a long time, faults among them."""
    # Of most texts their beginning: what leaks does so with each request.
    shorter = [" ".join(text.split()[: 4 + i % 40]) for i, text in enumerate(texts)]
    faults = cycle(FAULTS)
    with load(folder, runtime=EXACT) as engine, serving(folder, "--runtime", EXACT) as server:
        answers = known(engine, shorter)
        resident, seen, wrong = [], Counter[str](), 0
        parts = 10
        for part in range(parts):
            say(f"many requests: part {part + 1} of {parts}")
            given = list(islice(cycle(shorter), count // parts))
            requests: list[Any] = [asked(text) for text in given]
            for place in range(0, len(requests), EVERY):
                requests[place] = {"fault": next(faults)}
            found = loader.run(server, requests, clients=CLIENTS)["found"]
            if sorted(place for place, *_ in found) != list(range(len(requests))):
                sys.exit("many requests: answers are lost or doubled.")
            for place, status, _, label, score in found:
                request = requests[place]
                if isinstance(request, dict):
                    seen[f"{request['fault']}: {status}"] += 1
                    wrong += status != FAULTS[request["fault"]][1]
                else:
                    right, its = answers[given[place]]
                    seen[str(status)] += 1
                    own = score if label == right else 1 - score
                    wrong += status != 200 or abs(own - its) > APART
            resident.append(server.resident)
    drift = resident[-1] / resident[0]
    print(f"\n{count} requests of mixed sizes, one in {EVERY} a fault, a small model: {dict(seen)}")
    print("memory, MB:", *(f"{own / 1e6:.0f}" for own in resident))
    case = f"{count} requests of mixed sizes, faults among them, a small model"
    return [
        row(case, "wrong_answers", max(wrong, 1e-3), "what is allowed, none", 1e-3, target=1.0),
        row(case, "memory_after_over_after_a_tenth", drift, "what is allowed", 1.05, target=1.0),
    ]


def start(folder: Path, size: str) -> list[dict[str, Any]]:
    """From the start of a process to its being ready, of a model that was made fast for this machine."""
    say("start")
    with load(folder) as engine:
        how = f"{engine.runtime} {engine.precision}"
    spent = []
    for _ in range(5):
        begun = time.perf_counter()
        with serving(folder):
            spent.append(time.perf_counter() - begun)
    print(f"\nstart to ready, {size}, {how}: {min(spent):.2f}-{max(spent):.2f} s")
    case = f"start of a process to ready, {how}, {size}"
    return [row(case, "seconds", statistics.median(spent), "what is wanted", 2.0, target=1.0)]


if __name__ == "__main__":
    main()
