"""The house's laws, each a reading of the sources that fails with the law's own sentence."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "distilbert"
FILES = sorted(SOURCE.rglob("*.py"))

#: What the core may import at module level, besides the standard library and itself.
CORE_MAY = {"numpy", "tokenizers", "safetensors", "ml_dtypes"}
WINGS = {"torch", "jax", "keras"}
FRAMEWORKS = {
    "torch", "jax", "flax", "keras", "tensorflow", "transformers", "accelerate", "onnxruntime", "openvino",
}  # fmt: skip


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """What runs when the module is imported, functions and type-checking blocks left out."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def walked(nodes: Iterator[ast.AST]) -> Iterator[ast.AST]:
    """Every node under these, bodies of functions left out."""
    for node in nodes:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from walked(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_who_may_import_whom(path: Path) -> None:
    tree = ast.parse(path.read_text())
    room = path.relative_to(SOURCE).parts[0]
    at_import = set(imported(walked(top_level(tree))))
    anywhere = set(imported(ast.walk(tree)))
    if room == "core":
        outside = {
            name for name in at_import
            if name.split(".")[0] not in CORE_MAY | set(sys.stdlib_module_names) | {"distilbert"}
        }  # fmt: skip
        assert not outside, f"core imports little at module level: {outside}"
        frameworks = FRAMEWORKS & {name.split(".")[0] for name in anywhere}
        assert not frameworks, f"core imports no framework, ever: {frameworks}"
        rooms = {n.split(".")[1] for n in anywhere if n.startswith("distilbert.")} - {"core", "errors"}
        assert not rooms, f"core imports no other room: {rooms}"
    # Teachers of its families are read by one file, where it is installed, and by the function that needs it.
    peer = at_import if name_of(path) == "torch/foreign.py" else anywhere
    assert "transformers" not in {n.split(".")[0] for n in peer}, "the peer is no dependency"
    if room not in {"cli", "__main__.py"}:
        assert not any(n.startswith("distilbert.cli") for n in anywhere), "nobody imports the command line"
    if room in {"cli", "engine", "report"} or (path.name == "__init__.py" and path.parent == SOURCE):
        wings = {n for n in at_import if n.split(".")[0] in FRAMEWORKS or n.startswith("distilbert.torch")}
        assert not wings, f"a wing is imported by the function that needs it: {wings}"
    if room in WINGS:
        others = {n for n in anywhere if any(n.startswith(f"distilbert.{w}") for w in WINGS - {room})}
        assert not others, f"wings do not know each other: {others}"


def test_importing_the_package_loads_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import distilbert; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    extra = set(loaded.stdout.split()) - set(sys.stdlib_module_names) - {"distilbert"}
    assert not extra, f"importing distilbert loads the standard library only: {extra}"


def test_importing_the_package_is_quick() -> None:
    # Processor time: a busy machine stretches the other kind.
    code = "import time; t = time.process_time(); import distilbert; print(time.process_time() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(times) < 0.05


def test_every_public_name_is_there() -> None:
    import distilbert

    assert distilbert.__all__ == sorted(distilbert.__all__)
    for name in distilbert.__all__:
        assert getattr(distilbert, name).__name__ == name
        assert getattr(distilbert, name).__doc__, f"{name} says what it is"
    with pytest.raises(AttributeError, match="no attribute 'Distilbert'"):
        distilbert.Distilbert  # noqa: B018  # the access is what is tested


#: Parts of a parameter's key that no other string has.
KEY = re.compile(
    r"(word|position|token_type)_embeddings\.weight|LayerNorm\.|transformer\.layer|encoder\.layer"
    r"|[qkv]_lin\b|out_lin\b|ffn\.lin|sa_layer_norm|output_layer_norm|vocab_(transform|projector|layer_norm)"
    r"|pre_classifier|cls\.predictions"
)


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "parameters.py"], ids=name_of)
def test_keys_are_spelled_in_one_file(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            assert not KEY.search(node.value), (
                f"parameter keys are spelled in core/parameters.py only: {node.value!r} at line {node.lineno}"
            )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_decided_at_import(path: Path) -> None:
    for node in walked(top_level(ast.parse(path.read_text()))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not re.search(
                r"environ|getenv|basicConfig|cuda|set_default|manual_seed|set_num_threads|compile_fx", called
            ), f"nothing is decided at import time: {called} at line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr != "environ", f"the environment is not read at import: line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_print_lives_in_the_command_line(path: Path) -> None:
    if path.relative_to(SOURCE).parts[0] == "cli":
        return
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], (
        "print lives in cli and benchmarks; elsewhere a logger speaks"
    )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_have_one_subject(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "misc"}, (
        "a helper's file is named by a noun"
    )
    assert len(path.read_text().splitlines()) <= 400, "no file above about 400 lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_unpickles_or_trusts_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    # The one reader of pickles runs nothing, which tests/core/test_bin_files.py shows.
    if name_of(path) != "core/bin_files.py":
        assert "pickle" not in set(imported(ast.walk(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "torch.load", "pickle.load", "pickle.loads"}, called
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            assert ast.unparse(node.value) == "False"


@pytest.mark.parametrize(
    "path", sorted((SOURCE.parents[1] / "benchmarks").glob("*.py")), ids=lambda path: path.name
)
def test_benchmarks_use_what_there_is(path: Path) -> None:
    """They run for hours, and seldom: a name that has moved is to show before."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "distilbert":
            module = importlib.import_module(node.module)
            gone = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not gone, f"{path.name} asks {node.module} for {', '.join(gone)}"
