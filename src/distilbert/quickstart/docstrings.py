"""English that every Python machine carries: the docstrings of its libraries, read and never run."""

import ast
import hashlib
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

#: Larger files are generated tables, not documentation.
MAX_FILE_BYTES = 2**20

#: A package's name, and its extras.
_REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[([\w.,-]*)\])?")

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

#: Not documentation of the standard library: other packages, its tests, and what not every version has.
_NOT_LIBRARY = ("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip")


@dataclass(frozen=True)
class Docstring:
    """A docstring as one line of text, and the top-level module it documents."""

    module: str
    text: str


def of_standard_library() -> Iterator[Docstring]:
    """The docstrings of the standard library, in order of path."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not any(part in _NOT_LIBRARY for part in parts):
            yield from _read(path, module=parts[0].removesuffix(".py"))


def of_installed_packages(seed: int) -> Iterator[Docstring]:
    """The docstrings of the packages that come with this one, file by file in an order that the seed decides.

    Others that are installed are left alone, so that a seed means the same text whatever else is there.
    """
    paths = {}
    for package in sorted(_needed("distilbert", "train")):
        for file in metadata.files(package) or ():
            if file.suffix == ".py" and ".." not in file.parts:
                name = file.as_posix()
                paths[hashlib.sha256(f"{seed}:{name}".encode()).digest()] = Path(str(file.locate())), name
    for key in sorted(paths):
        path, name = paths[key]
        yield from _read(path, module=name.split("/")[0].removesuffix(".py"))


def _needed(package: str, *extras: str) -> set[str]:
    """The installed packages that a package needs, and those that they need; not the package itself."""
    found: set[str] = set()
    waiting = [(package, extras)]
    asked = set(waiting)
    while waiting:
        name, chosen = waiting.pop()
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another system, or of another Python
        found.add(re.sub(r"[-_.]+", "-", name).lower())
        for requirement in requirements:
            said, _, condition = requirement.partition(";")
            extra = re.search(r"""extra\s*==\s*["']([\w.-]+)["']""", condition)
            if extra is None or extra[1] in chosen:
                called = _REQUIREMENT.match(said)
                if called and (more := (called[1], tuple((called[2] or "").split(",")))) not in asked:
                    asked.add(more)
                    waiting.append(more)
    return found - {package}


def _read(path: Path, *, module: str) -> Iterator[Docstring]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in others' code are not this user's concern
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # a file that is not Python of this version documents nothing
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            # An escape can spell half a character, which is no text.
            text = docstring.encode(errors="ignore").decode()
            if text.strip():
                yield Docstring(module, " ".join(text.split()))
