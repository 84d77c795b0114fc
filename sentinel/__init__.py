"""Sentinel scores payment transactions from Kafka while they happen and learns from feedback.

One process, one event loop: a dispatcher owns the Kafka consumer group and feeds cooperating tasks;
judgement is pure code in `core`, waiting is in `adapters`, order is in `engine`.
"""

from sentinel import kernel_cache

kernel_cache.settle()  # before anything imports numba

__version__ = "0.2.0"
