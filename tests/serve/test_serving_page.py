"""What the page on serving shows, run as it stands against a server that is started as it says."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from loopback_hub import go_online
from running_server import serve_process
from small_files import sentences, write_table, write_teacher
from task_folders import write_task_folder

from distilbert.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    go_online(monkeypatch, online=True)
    write_teacher(tmp_path / "bert")
    write_table(tmp_path / "train.csv", *sentences(60, seed=1))
    trained = "finetune --model bert --train train.csv --epochs 1 --out answering --quiet"
    assert main(trained.split()) == 0
    write_task_folder(tmp_path / "vectors", "sentence-embedding")
    (_, start), *examples = BLOCKS
    words = shlex.split(start)
    assert words[:2] == ["distilbert", "serve"]
    assert words[-2:] == ["--port", "8080"]
    asked = 0
    with serve_process(*words[2:-2]) as running:
        running.client.until_ready()
        for language, block in examples:
            block = block.replace("8080", str(running.client.port))
            if language == "python":
                exec(compile(block, "docs/serving.md", "exec"), {})
                asked += 1
                continue
            for line in block.splitlines():
                _, place, *more = shlex.split(line)
                said = dict(zip(more[::2], more[1::2], strict=True))
                kind = said["-H"].partition(": ")[2]
                path = place.partition(str(running.client.port))[2] or "/"
                reply = running.client.post(path, said["-d"].encode(), content_type=kind)
                assert reply.status == 200, (line, reply.body)
                asked += 1
        assert running.stop() == 0
    assert asked == 11


def test_every_flag_and_route_of_the_page_is_there(served: dict[str, Path]) -> None:
    from distilbert.cli.main import parser
    from distilbert.serve.app import application

    commands = parser()._subparsers._group_actions[0].choices
    told = commands["serve"].format_help() + commands["package"].format_help()
    flags = set(re.findall(r"--[a-z][\w-]+", PAGE))
    assert not [flag for flag in flags if flag not in told]
    paths = application(served).openapi()["paths"]
    told = re.findall(r"`(?:POST |GET )?(/[\w/{}:]+)`", PAGE)
    unknown = {
        path
        for path in told
        if path not in paths and path not in ("/docs", "/pipeline/{task}", "/opt/ml/model")
    }
    assert not unknown


def test_curl_is_what_the_page_says() -> None:
    lines = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
    assert all(line.startswith(("curl ", "distilbert ")) for line in lines)
    assert subprocess.run(["sh", "-n", "-c", "\n".join(lines)], check=False).returncode == 0
