"""Which input record an output record came of, for a person who looks for it."""

import re

from sentinel.codec.dead_letters import origin_headers
from sentinel.records import OutputRecord

# Of decisions, and of the alerts that repeat them: "<topic>-<partition>-<offset>".
_DECISION = re.compile(rb'^\{"decision_id":"((?:[^"\\]|\\.)+-\d+)-(\d+)"')
_LABEL = re.compile(rb'"feedback_offset":(\d+)')
_HEAD_BYTES = 2_048


def origin(record: OutputRecord) -> str:
    """Topic, partition and offset of what it came of; empty where it does not say."""
    if found := origin_headers(record.headers):
        return f"{found[0]}-{found[1]} at offset {found[2]}"
    value = (record.value or b"")[:_HEAD_BYTES]
    if match := _DECISION.match(value):
        return f"{match[1].decode(errors='replace')} at offset {match[2].decode()}"
    if match := _LABEL.search(value):
        return f"feedback at offset {match[1].decode()}"
    return ""
