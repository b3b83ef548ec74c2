"""Which machine a figure was measured on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: Instruction sets that decide how fast small types multiply.
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "bf16")


def describe_machine(packages: tuple[str, ...] = ("torch", "tokenizers", "numpy")) -> dict[str, Any]:
    """The processor, its cores and instruction sets, and the versions of what ran on it."""
    described = _cpu_info()
    flags = described.get("flags", described.get("Features", "")).split()
    return {
        "cpu": described.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "isa": [flag for flag in _TELLING_FLAGS if flag in flags],
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
