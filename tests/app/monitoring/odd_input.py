"""Records that stand in for all that strangers send, with what nobody may see in them."""

import json
from collections.abc import Iterable
from typing import Any

from tests.engine.samples import START_MS, transactions

CARD = "4929123456789012"
SECRET = "sk_live_9f8e7d"


def odd_input() -> Iterable[bytes | None]:
    """As transactions."""
    [fine, *_] = transactions(1)
    fine |= {"transaction_id": SECRET, "account": CARD, "terminal": f'{CARD}"\n{{}}'}
    yield json.dumps(fine).encode()
    odd: dict[str, list[Any]] = {
        "account": ["", None, CARD * 100, 7, f"{CARD}\u202e", CARD + '",le="+Inf"} 7\nx'],
        "event_time": [-1, 0, "soon", 10**18, None, START_MS + 10**12],
        "amount": [-5, "much", None, 1e300, True],
        "transaction_id": ["", None, SECRET * 100, []],
        "channel": [SECRET, 5, "\x00", "x" * 5_000],
        "distance": ["far", 1e308, None],
    }
    for name, values in odd.items():
        yield from (json.dumps(fine | {name: value}).encode() for value in values)
    yield from (b"", b"garbage", b"{}", b"[]", b"null", b"\xff\xfe", b"{" * 5_000, None)
    yield f'{{"account": "{CARD}", "account": "{SECRET}"}}'.encode()
    yield b'{"account": "' + CARD.encode() + b'", "amount": 1e999}'
    yield b"\x00\x00\x00\x00\x07" + CARD.encode()


def odd_feedback() -> Iterable[dict[str, Any] | bytes]:
    fine = {"transaction_id": SECRET, "account": CARD, "label": "fraud", "who": SECRET}
    for change in (
        {}, {"label": SECRET}, {"confidence": 9}, {"who": ""}, {"observed_at": "never"},
        {"entities": {CARD: CARD}}, {"revision": -1}, {"source": f"a/{CARD}"},
        {"notes": CARD * 999},
    ):  # fmt: skip
        yield fine | change
    yield b"garbage"
