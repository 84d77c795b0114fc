"""Sentinel scores payment transactions from Kafka while they happen and learns from feedback.

One process, one event loop: a dispatcher owns the Kafka consumer group and feeds cooperating tasks;
judgement is pure code in `core`, waiting is in `adapters`, order is in `engine`.
"""

__version__ = "0.1.0"
