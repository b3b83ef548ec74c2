"""What is known of a processor."""

import pytest

from distilbert.core.machine import multiplies_bf16_fast


@pytest.mark.parametrize(
    ("able", "vendor", "fast"),
    [
        # A step of distillation on a Xeon without AMX took 1.6 times as long in bf16 as in fp32, a forward
        # pass on an EPYC a third as long.
        ({"avx512_bf16": True, "amx_bf16": False}, "GenuineIntel", False),
        ({"avx512_bf16": True, "amx_bf16": True}, "GenuineIntel", True),
        ({"avx512_bf16": True}, "AuthenticAMD", True),
        ({"avx512_bf16": False}, "AuthenticAMD", False),
        ({"bf16": True}, "", True),
        ({}, "", False),
    ],
)
def test_bf16_is_taken_where_it_is_faster(able: dict[str, bool], vendor: str, fast: bool) -> None:
    assert multiplies_bf16_fast(able, vendor=vendor) is fast
