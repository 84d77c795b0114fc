"""The checksum of record batches."""

import numpy as np
import pytest
from aiokafka.record.util import calc_crc32c

from sentinel.adapters.kafka.records.crc32c import (
    HAS_INSTRUCTION,
    KERNEL_BYTES_MIN,
    by_instruction,
    crc32c,
    warm,
)


def test_the_checksum_is_the_published_one() -> None:
    """The check value of CRC-32C: https://reveng.sourceforge.io/crc-catalogue/all.htm"""
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.skipif(not HAS_INSTRUCTION, reason="the processor has no such instruction")
def test_the_instruction_gives_the_published_one() -> None:
    assert by_instruction(np.frombuffer(b"123456789", dtype=np.uint8)) == 0xE3069283
    assert by_instruction(np.empty(0, dtype=np.uint8)) == 0


def test_any_bytes_have_the_checksum_that_aiokafka_finds() -> None:
    warm()
    data = np.random.default_rng(1).bytes(3 * KERNEL_BYTES_MIN)
    for begin in range(10):
        for end in (KERNEL_BYTES_MIN, 2 * KERNEL_BYTES_MIN + 3, len(data) - begin):
            view = memoryview(data)[begin:end]
            assert crc32c(view) == crc32c(bytearray(view)) == calc_crc32c(view)
