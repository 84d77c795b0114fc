"""Which partition of a topic a key belongs to, by the rules of common Kafka clients."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

# murmur2 is that of the Java client, and of all that want to agree with it; crc32 is librdkafka's
# `consistent` and `consistent_random`, its default. By "any" other rule it is not computed.
Partitioner = Literal["murmur2", "crc32", "any"]
PARTITIONERS = get_args(Partitioner)


class PartitionOf:
    """The partition of a key; by "any" as by murmur2, for whoever must put it somewhere.

    https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/utils/Utils.java
    https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_msg.c
    """

    def __init__(self, partition_count: int, partitioner: Partitioner = "murmur2") -> None:
        assert partition_count > 0
        self._partition_count = partition_count
        self._is_crc32 = partitioner == "crc32"

    def __call__(self, key: str) -> int:
        data = key.encode()
        if self._is_crc32:
            return zlib.crc32(data) % self._partition_count
        return (murmur2(data) & 0x7FFFFFFF) % self._partition_count


def fitting(
    keys: Mapping[int, Sequence[str]], partition_count: int, partitioner: Partitioner
) -> tuple[int, list[Partitioner]]:
    """How many keys are in another partition than a rule gives them, and the rules that fit all.

    Parameters
    ----------
    keys
        By the partition in which they were found.
    """
    rules: list[Partitioner] = ["murmur2", "crc32"]
    wrong = {
        rule: sum(
            PartitionOf(partition_count, rule)(key) != number
            for number, found in keys.items()
            for key in found
        )
        for rule in rules
    }
    return wrong.get(partitioner, 0), [rule for rule in rules if not wrong[rule]]


def misplacement(
    partitioner: Partitioner, misplaced: int, looked_at: int, fitting_rules: Sequence[str]
) -> str:
    """What to tell a person of transactions that are where the rule does not put them."""
    better = " or ".join(f'"{rule}"' for rule in fitting_rules) or '"any"'
    return (
        f"{misplaced:,} of {looked_at:,} transactions looked at are not in the partition that "
        f'kafka.partitioner = "{partitioner}" gives their account: set it to {better}'
    )


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2, as an unsigned integer."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k ^= k >> 24
        h = (h * m & mask) ^ (k * m & mask)
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h ^= h >> 13
    h = h * m & mask
    return h ^ (h >> 15)
