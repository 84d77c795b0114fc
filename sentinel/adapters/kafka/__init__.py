"""Kafka through aiokafka: the group member and producer of an instance, and its broadcast tail.

A package, so that the parts share the settings of the client without one adapter knowing another.
It is the only home of aiokafka.
"""

from sentinel.adapters.kafka.admin import Admin as KafkaAdmin
from sentinel.adapters.kafka.broker import UNTOLD_END, KafkaBroker
from sentinel.adapters.kafka.client import EMBEDDED, KafkaParams
from sentinel.adapters.kafka.requests.group_members import Member as GroupMember
from sentinel.adapters.kafka.requests.group_members import described
from sentinel.adapters.kafka.tail import KafkaTail

__all__ = [
    "EMBEDDED",
    "UNTOLD_END",
    "GroupMember",
    "KafkaAdmin",
    "KafkaBroker",
    "KafkaParams",
    "KafkaTail",
    "described",
]
