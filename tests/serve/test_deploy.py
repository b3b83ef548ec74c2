"""What stands in deploy/: linted by its own tools, and held against the server that it starts and asks."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from running_server import Client, serve_process
from served_folders import write_served_folders

from distilbert.cli.main import parser
from distilbert.serve import environment
from distilbert.serve.settings import Settings

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
YAML = [path for path in FILES if path.suffix == ".yaml"]
TERRAFORM = [path for path in FILES if path.suffix == ".tf"]
CONTAINERS = [path for path in FILES if path.name.endswith("Dockerfile")]

#: Names that others read: the hub's client, Python, the shell, Lambda's adapter.
_OTHERS = {"HF_HUB_OFFLINE", "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
_ADAPTERS = {"AWS_LWA_PORT", "AWS_LWA_READINESS_CHECK_PATH"}


def name_of(path: Path) -> str:
    return path.relative_to(DEPLOY).as_posix()


def found_in(content: Any, key: str) -> Iterator[Any]:
    """Values under a key, however deep they stand."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name == key:
                yield value
            yield from found_in(value, key)
    elif isinstance(content, list):
        for value in content:
            yield from found_in(value, key)


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def instructions(path: Path) -> list[tuple[str, str]]:
    """A container file's instructions and what they say, comments left out and lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def environment_of(path: Path) -> dict[str, str]:
    said = [rest for word, rest in instructions(path) if word == "ENV"]
    return dict(pair.partition("=")[::2] for rest in said for pair in shlex.split(rest))


def terraform(path: Path) -> Any:
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 reads Terraform's files")
    content = hcl2.loads(path.read_text())
    # Strings keep their quotes in newer versions of it.
    return json.loads(json.dumps(content).replace('\\"', ""))


def server_of(words: list[str], told: dict[str, str]) -> Settings:
    """What a server is told by a container's words and environment."""
    args = parser().parse_args(words)
    said = {name: value for name, value in vars(args).items() if value is not None}
    return Settings.of({**environment.told_by(told, sagemaker="/nowhere").settings, **said})


# By the files' own tools.


@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_yaml_is_in_order(path: Path) -> None:
    pytest.importorskip("yamllint", reason="yamllint reads YAML strictly")
    rules = "{extends: default, rules: {line-length: {max: 130}, document-start: disable}}"
    run = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "-d", rules, str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", TERRAFORM, ids=name_of)
def test_terraform_is_in_order(path: Path) -> None:
    content = terraform(path)
    assert content
    text = path.read_text()
    declared = {
        name
        for file in path.parent.glob("*.tf")
        for name in re.findall(r'variable "(\w+)"', file.read_text())
    }
    assert set(re.findall(r"\bvar\.(\w+)", text)) <= declared
    blocks = {
        f"{kind}.{name}"
        for file in path.parent.glob("*.tf")
        for kind, name in re.findall(r'^(?:resource|data) "(\w+)" "(\w+)"', file.read_text(), re.MULTILINE)
    }
    used = re.findall(r"\b((?:aws|google)_\w+\.\w+)\b", text)
    assert set(used) <= blocks


@pytest.mark.parametrize("path", CONTAINERS, ids=name_of)
def test_container_files_are_in_order(path: Path) -> None:
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
    told = instructions(path)
    assert {word for word, _ in told} <= known
    for word, rest in told:
        if word in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list), "signals reach a process that no shell has started"
        if word == "FROM":
            assert rest.startswith("${"), "who builds says whose images"
        if word == "COPY" and "--from" not in rest and path.parent.name == "container" and path.suffix == "":
            kept = (TOP / ".dockerignore").read_text().splitlines()
            for source in rest.split()[:-1]:
                assert (TOP / source).exists()
                assert f"!{source.removeprefix('./')}" in kept
    hadolint = Path(sys.executable).with_name("hadolint")
    if hadolint.exists():
        run = subprocess.run([hadolint, str(path)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".sh"], ids=name_of)
def test_scripts_are_in_order(path: Path) -> None:
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_names_a_registry(path: Path) -> None:
    hosts = re.findall(r"[\w-]+(?:\.[\w-]+)*\.(?:io|dev|com|org|net)/[\w-]+", path.read_text())
    allowed = ("run.googleapis.com/", "kustomize.config.k8s.io/", "app.kubernetes.io/", "prometheus.io/",
               "autoscaling.knative.dev/", "serving.knative.dev/")  # fmt: skip
    assert not [host for host in hosts if not host.startswith(allowed)]


# Against the server.


def probes() -> set[str]:
    """Routes by which clouds ask whether it lives."""
    paths = set()
    for path in YAML:
        for asked in found_in(read_yaml(path), "httpGet"):
            paths.add(asked["path"])
    for path in TERRAFORM:
        for asked in found_in(terraform(path), "http_get"):
            paths |= {one["path"] for one in asked}
    for path in CONTAINERS:
        told = environment_of(path)
        paths |= {told[name] for name in told if name == "AWS_LWA_READINESS_CHECK_PATH"}
    script = (DEPLOY / "vertex-ai" / "deploy.sh").read_text()
    paths |= set(re.findall(r"--container-health-route=(\S+)", script))
    return paths


def test_every_probe_is_answered(client: Client) -> None:
    paths = probes()
    assert paths >= {"/health", "/v2/health/live"}
    for path in paths:
        assert client.get(path).status == 200, path


def test_a_startup_probe_waits_for_the_model() -> None:
    for path in (DEPLOY / "kubernetes" / "deployment.yaml", DEPLOY / "cloud-run" / "service.yaml"):
        (probe,) = found_in(read_yaml(path), "startupProbe")
        assert probe["httpGet"]["path"] == "/health"
        (living,) = found_in(read_yaml(path), "livenessProbe")
        assert living["httpGet"]["path"] == "/v2/health/live"


def test_where_vertex_asks_is_answered(client: Client) -> None:
    script = (DEPLOY / "vertex-ai" / "deploy.sh").read_text()
    (route,) = re.findall(r"--container-predict-route=(\S+)", script)
    assert client.answer(route, {"instances": ["a song"]})["predictions"]


def test_ports_are_those_at_which_it_is_heard_by_others() -> None:
    (first,) = [path for path in CONTAINERS if path.parent.name == "container" and path.suffix == ""]
    said = dict(instructions(first))
    assert json.loads(said["ENTRYPOINT"]) == ["distilbert"]
    default = server_of(json.loads(said["CMD"]), environment_of(first))
    assert default.is_public
    assert default.port == int(said["EXPOSE"])
    for path in (DEPLOY / "kubernetes" / "deployment.yaml", DEPLOY / "cloud-run" / "service.yaml"):
        (containers,) = found_in(read_yaml(path), "containers")
        (port,) = found_in(containers, "containerPort")
        told = {"PORT": str(port)} if path.parent.name == "cloud-run" else {}
        server = server_of(containers[0]["args"], told)
        assert server.is_public
        assert server.port == port == default.port
    told = environment_of(DEPLOY / "lambda" / "Dockerfile")
    assert server_of(["serve"], told).port == int(told["AWS_LWA_PORT"])
    script = (DEPLOY / "vertex-ai" / "deploy.sh").read_text()
    (port,) = re.findall(r"--container-ports=(\d+)", script)
    (word,) = re.findall(r"--container-args=(\S+)", script)
    assert server_of([word], {"AIP_HTTP_PORT": port}).is_public
    assert list(found_in(terraform(DEPLOY / "terraform" / "cloud-run" / "main.tf"), "container_port"))
    for path in TERRAFORM:
        for port in found_in(terraform(path), "container_port"):
            assert int(port) == default.port
        for words in found_in(terraform(path), "args"):
            assert server_of(words, {"PORT": "8080"}).is_public


def test_it_has_ended_before_it_is_killed() -> None:
    (spec,) = found_in(read_yaml(DEPLOY / "kubernetes" / "deployment.yaml")["spec"], "spec")
    (container,) = spec["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] >= pause + server_of(container["args"], {}).grace + 5
    for words in [*found_in(read_yaml(DEPLOY / "cloud-run" / "service.yaml"), "args"),
                  *found_in(terraform(DEPLOY / "terraform" / "cloud-run" / "main.tf"), "args")]:  # fmt: skip
        assert server_of(words, {}).grace < 10


def test_names_of_the_environment_are_those_that_are_read() -> None:
    source = Path(environment.__file__).read_text()
    read = set(re.findall(r'"([A-Z][A-Z0-9_]+)"', source))
    named: set[str] = set()
    for path in YAML:
        for listed in found_in(read_yaml(path), "env"):
            named |= {one["name"] for one in listed}
    for path in CONTAINERS:
        named |= set(environment_of(path))
    for path in TERRAFORM:
        named |= set(re.findall(r"\{\s*([A-Z][A-Z0-9_]+)\s*=", path.read_text()))
    assert {"HF_MODEL_ID", "HF_TASK", "PORT", "DISTILBERT_API_KEY"} <= named
    assert named <= read | _OTHERS | _ADAPTERS


def test_what_pods_are_counted_by_is_counted(client: Client) -> None:
    metrics = client.get("/metrics").body.decode()
    (scaler,) = found_in(read_yaml(DEPLOY / "kubernetes" / "autoscaler.yaml"), "metric")
    assert re.search(rf"^{scaler['name']} ", metrics, re.MULTILINE)
    (rule,) = read_yaml(DEPLOY / "kubernetes" / "metrics-rule.yaml")["rules"]
    assert rule["seriesQuery"].startswith(scaler["name"] + "{")
    template = read_yaml(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]
    told = template["metadata"]["annotations"]
    assert client.get(told["prometheus.io/path"]).status == 200
    assert int(told["prometheus.io/port"]) == template["spec"]["containers"][0]["ports"][0]["containerPort"]


def test_the_pieces_of_a_cluster_know_each_other() -> None:
    folder = DEPLOY / "kubernetes"
    deployment, service, scaler = (
        read_yaml(folder / f"{name}.yaml") for name in ("deployment", "service", "autoscaler")
    )
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in container["ports"]}
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])
    kustomization = read_yaml(folder / "kustomization.yaml")
    assert all((folder / name).is_file() for name in kustomization["resources"])
    assert kustomization["images"][0]["name"] == container["image"]
    volumes = {volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_a_container_with_a_model_starts_as_it_says(tmp_path: Path) -> None:
    folder = write_served_folders(tmp_path, "classes")["classes"]
    told = environment_of(DEPLOY / "container" / "with-model.Dockerfile")
    assert told["HF_MODEL_ID"] == "/model"
    with serve_process(**{**told, "HF_MODEL_ID": str(folder)}) as running:
        client = running.client.until_ready()
        assert client.answer("/invocations", {"inputs": "a song"})
        assert client.get("/ping").status == 200
        assert running.stop() == 0


def test_the_page_names_what_is_there() -> None:
    page = (DEPLOY / "README.md").read_text()
    for place in re.findall(r"\]\(([\w./-]+)\)", page):
        assert (DEPLOY / place).exists(), place
    folders = {path.name for path in DEPLOY.iterdir() if path.is_dir()}
    assert not [name for name in folders if f"({name}/" not in page]
