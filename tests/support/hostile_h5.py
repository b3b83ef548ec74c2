"""What no writer puts into an .h5 file: each function does so."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def external_link(file: Any) -> None:
    file["distilbert"] = h5py.ExternalLink("secret.h5", "/numbers")


def external_numbers(file: Any) -> None:
    file.create_dataset("a/b/a/kernel:0", (4, 4), "f4", external=[("secret", 0, 64)])


def virtual_array(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "numbers", (4,))
    file.create_virtual_dataset("a/b/a/kernel:0", layout)


def soft_link(file: Any) -> None:
    file["a/bias:0"] = np.zeros(3, "f4")
    file["b"] = h5py.SoftLink("/a/bias:0")


def circle(file: Any) -> None:
    file.create_group("a/b")
    file["a/b/c"] = file["a"]


def packed(file: Any) -> None:
    file.create_dataset("a/bias:0", data=np.zeros((1000, 1000), "f4"), compression="gzip")


def out_of_nothing(file: Any) -> None:
    file.create_dataset("a/bias:0", (2**40,), "f4", chunks=(2**20,), fillvalue=1.0)


def never_written(file: Any) -> None:
    file.create_dataset("a/bias:0", (2**40,), "f4")


def texts(file: Any) -> None:
    file["a/bias:0"] = ["text"]


def objects(file: Any) -> None:
    file.create_dataset("a/bias:0", (3,), h5py.ref_dtype)


def records(file: Any) -> None:
    file.create_dataset("a/bias:0", data=np.zeros(3, [("x", "f4"), ("y", "i4")]))


def a_type(file: Any) -> None:
    file["a"] = np.dtype("f4")


def no_shape(file: Any) -> None:
    file["a/bias:0"] = h5py.Empty("f4")


def a_cube(file: Any) -> None:
    file["a/kernel:0"] = np.zeros((2, 2, 2), "f4")


def deep(file: Any) -> None:
    file["/".join("a" * 120)] = np.zeros(3, "f4")


CASES: tuple[Callable[[Any], None], ...] = (
    external_link, external_numbers, virtual_array, soft_link, circle, packed, out_of_nothing,
    never_written, texts, objects, records, a_type, no_shape, a_cube, deep,
)  # fmt: skip


def tree_of_itself(content: bytearray) -> None:
    """The groups' first node says that its children are nodes, and that each is itself."""
    node = content.find(b"TREE")
    content[node + 5] = 9
    content[node + 6 : node + 8] = struct.pack("<H", 32)
    for i in range(32):
        content[node + 32 + 16 * i : node + 40 + 16 * i] = struct.pack("<Q", node)


def head_of_itself(content: bytearray) -> None:
    """The first object's head goes on where it begins, for as many messages as can be."""
    (head,) = struct.unpack_from("<Q", content, 64)
    content[head + 2 : head + 4] = b"\xff\xff"
    content[head + 16 : head + 18] = b"\x10\0"
    content[head + 24 : head + 40] = struct.pack("<QQ", head + 16, 24)


def names_beyond_the_end(content: bytearray) -> None:
    heap = content.find(b"HEAP")
    content[heap + 8 : heap + 16] = struct.pack("<Q", 2**40)


#: What is done to a file that is good but for that.
CHANGES: tuple[Callable[[bytearray], None], ...] = (tree_of_itself, head_of_itself, names_beyond_the_end)


def build(folder: Path) -> None:
    """Write each file into a folder of its own, beside what it would like to reach."""
    for change in CHANGES:
        place = folder / "h5" / change.__name__.replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        with h5py.File(place / "tf_model.h5", "w") as file:
            file["good/bias:0"] = np.zeros(3, "f4")
        content = bytearray((place / "tf_model.h5").read_bytes())
        change(content)
        (place / "tf_model.h5").write_bytes(content)
    for make in (*CASES, None):
        place = folder / "h5" / make.__name__.replace("_", "-") if make else folder / "good" / "tf_model.h5"
        place.mkdir(parents=True, exist_ok=True)
        with h5py.File(place / "secret.h5", "w") as file:
            file["numbers"] = np.ones(4, "f4")
        (place / "secret").write_bytes(b"\1" * 64)
        with h5py.File(place / "tf_model.h5", "w") as file:
            file["good/bias:0"] = np.zeros(3, "f4")
            if make:
                make(file)
