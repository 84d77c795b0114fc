"""What the listener costs: the loop's time for a scrape, and a whole run with and without scrapes.

    python -m benchmarks.listener [--turns N] [--count N] [--json FILE] [--quick]

First the page alone and over a socket, in this process, with as many series as there can be. Then
the same topic is drained in turns: without a listener, and with one that is scraped each second.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, get_args

import numpy as np
import uvloop

from benchmarks.harness import facts, header, preload, print_table, site, write_json
from benchmarks.throughput import drained
from sentinel import config as configuration
from sentinel.adapters.http import HttpParams
from sentinel.adapters.http.listener import Listener
from sentinel.app.monitoring.labels import VERSION_COUNT_MAX
from sentinel.app.monitoring.pages import pages
from sentinel.app.status import Status
from sentinel.errors import RecordReason
from sentinel.metrics import Metrics
from tests.children import free_ports

SEED = 11
SCRAPE_COUNT = 500
ACCOUNTS = 100_000
# Another process, or its own work would count.
CLIENT = """
import http.client, sys
for _ in range(int(sys.argv[2])):
    client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    client.request("GET", "/metrics")
    assert len(client.getresponse().read()) > 10_000
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--count", type=int, default=400_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="the page alone")
    options = parser.parse_args()
    about = facts(SEED)
    print(f"\n{header(about)}")
    page = uvloop.run(of_page())
    print(f"a scrape of {page['series']} series, {page['bytes']:,} bytes, in ms of processor time:")
    rows = [[name, f"{page[f'{name}_ms']:.3f}"] for name in ("page", "page_p99", "request")]
    print_table(["", "ms"], rows)
    turns: list[dict[str, Any]] = []
    if not options.quick:
        turns = [uvloop.run(turn(options.count, number)) for number in range(options.turns)]
        tell(turns)
    write_json(options.json, {"about": about, "page": page, "turns": turns})


async def of_page() -> dict[str, float]:
    """The page itself, and all that a request for it takes."""
    status = Status(configuration.load(None, {}), filled(), "1.0.0", 0.0)
    made = pages(status)
    took_s = []
    for _ in range(SCRAPE_COUNT):
        begun_s = time.process_time()
        body = made["/metrics"]().body
        took_s.append(time.process_time() - begun_s)
    bound: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(Listener(HttpParams(":0"), made, bound.put_nowait).run())
    port = (await bound.get()).rsplit(":", 1)[1]
    await ask(port, 20)
    begun_s = time.process_time()
    await ask(port, SCRAPE_COUNT)
    request_s = (time.process_time() - begun_s) / SCRAPE_COUNT
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {
        "series": sum(not line.startswith(b"#") for line in body.splitlines()),
        "bytes": len(body),
        "page_ms": median(took_s) * 1e3,
        "page_p99_ms": float(np.quantile(took_s, 0.99)) * 1e3,
        "request_ms": request_s * 1e3,
    }


async def ask(port: str, scrape_count: int) -> None:
    """So many scrapes one after the other, by another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, port, str(scrape_count)
    )
    assert await process.wait() == 0


def filled() -> Metrics:
    """As many series as there can be."""
    metrics = Metrics()
    metrics.dead_letter_reasons.update(dict.fromkeys(get_args(RecordReason), 3))
    for number in range(2 * VERSION_COUNT_MAX):
        for name in ("version_decisions", "version_alerts", "version_failures"):
            getattr(metrics, name)[f"1.{number}.0"] += 7
    return metrics


# --- a run ----------------------------------------------------------------------------------------


async def turn(transaction_count: int, number: int) -> dict[str, Any]:
    """Both runs, in an order that changes from turn to turn."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        async with site(Path(name), kafka=False) as at:
            await preload(at, transaction_count, account_count=ACCOUNTS, seed=SEED + number)
            for is_scraped in sorted((False, True), reverse=bool(number % 2)):
                word = "scraped" if is_scraped else "plain"
                [port] = free_ports(1)
                settings = {
                    "SENTINEL__KAFKA__GROUP_ID": word,
                    "SENTINEL__REDIS__KEY_PREFIX": word,
                    "SENTINEL__HTTP__BIND": f"127.0.0.1:{port}" if is_scraped else "",
                }
                asking = asyncio.create_task(scrape_each_second(port))
                report = await drained(at, transaction_count, settings)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                found[word] = {
                    "cpu_us": report["busy_cpu_us"],
                    "per_s": report["busy_throughput_per_s"],
                    "latency_p99_ms": report["engine_ms"]["p99"],
                }
    return found


async def scrape_each_second(port: int) -> None:
    """As Prometheus does, if fifteen times as often; where nobody listens nothing comes of it."""
    for _ in count():
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: benchmark\r\n\r\n")
            await reader.read()
            writer.close()
        await asyncio.sleep(1.0)


def tell(turns: list[dict[str, Any]]) -> None:
    rows = []
    for name, what in (
        ("cpu_us", "processor, µs a transaction"),
        ("per_s", "transactions a second"),
        ("latency_p99_ms", "p99 in the engine, ms"),
    ):
        ratios = sorted(one["scraped"][name] / one["plain"][name] for one in turns)
        rows.append(
            [
                what,
                f"{median(one['plain'][name] for one in turns):,.2f}",
                f"{median(one['scraped'][name] for one in turns):,.2f}",
                f"{median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})",
            ]
        )
    print_table(["", "without", "scraped each second", "ratio of a turn"], rows)


if __name__ == "__main__":
    main()
