"""Which machine a figure was measured on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: Instruction sets that decide how fast small types multiply.
_TELLING_FLAGS = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "asimddp",
    "i8mm", "bf16",
)  # fmt: skip

#: Those that add products of 8 bits up in 32.
_DOT_PRODUCTS = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


def describe_machine(packages: tuple[str, ...] = ("torch", "tokenizers", "numpy")) -> dict[str, Any]:
    """The processor, its cores and instruction sets, and the versions of what ran on it."""
    described = _cpu_info()
    return {
        "cpu": described.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "isa": instruction_sets(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **_versions(packages)},
    }


def cpu_vendor() -> str:
    """Who made the processor, as it says itself: "GenuineIntel", "AuthenticAMD"; empty where it does not."""
    return _cpu_info().get("vendor_id", "")


def multiplies_bf16_fast(able: Mapping[str, Any], *, vendor: str) -> bool:
    """Whether a processor of these abilities multiplies bfloat16 numbers faster than float32.

    Intel's AVX-512 has as many multiplications a cycle for the one as for the other, and converts in between:
    only its AMX is faster. AMD's has twice as many.
    """
    if able.get("amx_bf16") or able.get("bf16"):
        return True
    return bool(able.get("avx512_bf16")) and vendor != "GenuineIntel"


def instruction_sets() -> list[str]:
    """Those of the processor that decide how fast small types multiply."""
    described = _cpu_info()
    flags = described.get("flags", described.get("Features", "")).split()
    return [flag for flag in _TELLING_FLAGS if flag in flags]


def kind_of_processor() -> str:
    """A name that processors share on which the same kernels run."""
    return "-".join([platform.machine().lower() or "unknown", *instruction_sets()])


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 numbers faster than float32."""
    return multiplies_bf16_fast(dict.fromkeys(instruction_sets(), True), vendor=cpu_vendor())


def has_dot_products() -> bool:
    """Whether the processor adds products of 8 bits up in 32, so that none of them is cut off."""
    return any(flag in _DOT_PRODUCTS for flag in instruction_sets())


def usable_cores() -> int:
    """How many cores this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_info() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    return {name.strip(): value.strip() for name, value in reversed(pairs)}


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
