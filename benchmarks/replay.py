"""Are decisions reproducible? Three model versions decide in turn, and the archive is scored again.

    python -m benchmarks.replay [--count N] [--json FILE] [--quick]

One instance after another serves another version and decides its share of N transactions on the
embedded broker; `sentinel archive run` archives them, and `sentinel why --replay` scores every row
again by the version that scored it: score and probability must be the same bit for bit.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.harness import (
    Instance,
    Site,
    facts,
    header,
    preload,
    print_table,
    site,
    write_json,
)
from benchmarks.workloads import write_model

SEED = 11
TREE_COUNTS = (200, 120, 60)
DRAIN_S_MAX = 300.0
IDLE_S = 10
_LINE = re.compile(r"model (\S+): ([\d,]+) decisions scored again, ([\d,]+) the same bit for bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=105_000, help="transactions")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="6,000 transactions")
    options = parser.parse_args()
    count = 6_000 if options.quick else options.count
    about = facts(SEED)
    found = uvloop.run(measure(count))
    print(f"\n{count:,} decisions by {len(TREE_COUNTS)} model versions, archived and scored again")
    print(f"  {header(about)}")
    rows = [[name, *(f"{value:,}" for value in counts)] for name, counts in found["models"].items()]
    print_table(("model", "scored again", "the same"), rows)
    print(f"  archived at {found['archived_per_s']:,.0f}/s, replayed at "
          f"{found['replayed_per_s']:,.0f}/s, start of the command included")  # fmt: skip
    write_json(options.json, {"benchmark": "replay", **about, "count": count, **found})
    again = sum(counts[0] for counts in found["models"].values())
    same = sum(counts[1] for counts in found["models"].values())
    if (again, same) != (count, count):
        raise SystemExit(
            f"of {count:,} decisions {again:,} were scored again, {same:,} the same:\n"
            f"{found['said']}"
        )


async def measure(count: int) -> dict[str, Any]:
    """Decide, archive, replay."""
    with tempfile.TemporaryDirectory() as name:
        async with site(Path(name), kafka=False) as at:
            names = [feature.name for feature in at.config.features]
            versions = ["1.0.0"]  # the one that every site has
            for trees in TREE_COUNTS[1:]:
                made = await asyncio.to_thread(write_model, at.folder, names, tree_count=trees)
                versions.append(made)
            for number, version in enumerate(versions):
                share = count // len(versions) + (number < count % len(versions))
                await decide(at, version, share, number)
            begun_s = time.monotonic()
            await command(at, "archive", "run", "--exit-when-idle", str(IDLE_S))
            archived_s = time.monotonic() - begun_s - IDLE_S
            begun_s = time.monotonic()
            said = await command(at, "why", "--replay")
            replayed_s = time.monotonic() - begun_s
    models = {
        version: (int(again.replace(",", "")), int(same.replace(",", "")))
        for version, again, same in _LINE.findall(said)
    }
    return {
        "models": models,
        "archived_per_s": count / archived_s,
        "replayed_per_s": count / replayed_s,
        "said": said,
    }


async def decide(at: Site, version: str, count: int, number: int) -> None:
    """One instance that serves a version decides so many transactions."""
    await preload(at, count, account_count=5_000, seed=SEED + number)
    served = replace(at, environment={**at.environment, "SENTINEL__MODEL__VERSION": version})
    async with Instance(served, number=number) as instance:
        await instance.transactions(count, DRAIN_S_MAX)


async def command(at: Site, *arguments: str) -> str:
    """What a `sentinel` command says; SystemExit when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sentinel", *arguments, "--config", str(at.config_file)),
        cwd=at.folder,
        env={**os.environ, **at.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"sentinel {' '.join(arguments)}: {said.decode()[-3000:]}")
    return said.decode()


if __name__ == "__main__":
    main()
