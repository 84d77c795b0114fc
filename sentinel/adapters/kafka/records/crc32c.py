"""The checksum of record batches, CRC-32C, by the processor's own instruction where it has one.

aiokafka's goes by tables, which takes five times as long: more than all else that a record costs.
"""

import platform
from typing import Any

import numba
import numpy as np
from aiokafka.record.util import calc_crc32c
from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic

from sentinel.texts import Bytes

HAS_INSTRUCTION = platform.machine() in ("x86_64", "AMD64") and bool(
    binding.get_host_cpu_features().get("sse4.2")
)
# Calling a kernel costs a microsecond; below this aiokafka's is done before.
KERNEL_BYTES_MIN = 4096

_ALL_ONES = 0xFFFF_FFFF


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """The checksum of some bytes."""
    if len(data) < KERNEL_BYTES_MIN or not HAS_INSTRUCTION:
        return int(calc_crc32c(data))
    return int(by_instruction(np.frombuffer(data, dtype=np.uint8)))


def warm() -> None:
    """Compile the kernel, or load it from numba's cache, for bytes in and for buffers out."""
    crc32c(bytes(KERNEL_BYTES_MIN))
    crc32c(bytearray(KERNEL_BYTES_MIN))


def _instruction(name: str, crc_bits: int, data_bits: int) -> Any:
    """A function for kernels that is one instruction of the processor."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        crc, data = ir.IntType(crc_bits), ir.IntType(data_bits)
        function = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(crc, [crc, data]))
        return builder.call(function, arguments)

    crc_type, data_type = getattr(types, f"uint{crc_bits}"), getattr(types, f"uint{data_bits}")
    return intrinsic(lambda typing_context, crc, data: (crc_type(crc_type, data_type), codegen))


_eight_bytes = _instruction("llvm.x86.sse42.crc32.64.64", 64, 64)
_one_byte = _instruction("llvm.x86.sse42.crc32.32.8", 32, 8)


@numba.njit(cache=True, nogil=True)
def by_instruction(data: Bytes) -> int:
    """The checksum, eight bytes a step."""
    wide = np.uint64(_ALL_ONES)
    word_count = data.size // 8
    for i in range(word_count):
        word = np.uint64(0)
        for k in range(8):  # compiled to one load
            word |= np.uint64(data[i * 8 + k]) << np.uint64(k * 8)
        wide = _eight_bytes(wide, word)
    crc = np.uint32(wide)
    for i in range(word_count * 8, data.size):
        crc = _one_byte(crc, data[i])
    return int(crc ^ np.uint32(_ALL_ONES))
