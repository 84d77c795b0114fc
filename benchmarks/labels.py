"""The Handbook's frauds in the hands of investigators and banks: what the labels are worth.

    python -m benchmarks.labels handbook_transactions.parquet [--json FILE] [--quick]

Trains and scores as benchmarks/handbook_stream.py does, with every fraud known after a week. Then
another instance, broker and store, which know of none, are told what simulated people say, in the
order in which they observe it: each day the 100 cards with the highest scores are checked, of each
its highest transaction, by two or three of eight investigators, who vote within eight hours of
midnight. One of them throws a coin; another one does so from the middle day on. Of the frauds, four
in five are charged back, checked or not, after 1 to 60 days (lognormal, median 12, spread 0.6);
so are five in 10,000 genuine payments. What Sentinel makes of it is read back from the topic of
labels and from the store, and is held against the truth.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from benchmarks.handbook_stream import CONFIG, read_topic, served, transactions
from benchmarks.harness import Instance, Site, facts, header, write_json
from benchmarks.label_figures import Heard, KnownSkill, judged, show
from benchmarks.label_play import Play, played, scored_rows
from sentinel import config as configuration
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.codec.records import decode_label
from sentinel.core.consensus.batch.patterns import skill_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.operations.data.sender import Sender
from sentinel.operations.stores import open_cases
from sentinel.ports import CaseStore
from sentinel.records import WITHDRAWN, Feedback, Label
from sentinel.simulation.chargebacks import DAY_MS
from sentinel.stored.votes import CONSENSUS, Annotator

SEED = 11
COUNTED_S_MAX = 300.0  # of the first day: until the instance has started, too
PARAMS = ConsensusParams()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--train-days", type=int, default=100)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="8 days, trained on 30")
    options = parser.parse_args()
    about = facts(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        figures = uvloop.run(measure(options, Path(folder)))
    show(figures, header(about))
    write_json(options.json, {"benchmark": "labels", **about, **figures})


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Score, simulate, tell, and judge what came of it."""
    train_days, day_count, idle_s = (30, 38, 4) if options.quick else (options.train_days, None, 15)
    frame = transactions(options.file, day_count)
    (folder / "scoring").mkdir()
    decisions, _ = await served(frame, folder / "scoring", train_days, idle_s=idle_s)
    play = played(scored_rows(frame, decisions, train_days), np.random.default_rng(options.seed))
    async with listening(folder / "listening", folder / "scoring" / ".sentinel/models") as at:
        heard = await told(at, play)
    return judged(play, heard)


@asynccontextmanager
async def listening(folder: Path, models: Path) -> AsyncIterator[Site]:
    """A broker and a store of their own, and the Handbook's configuration."""
    await asyncio.to_thread(folder.mkdir)
    async with EmbeddedServers(folder / "servers") as servers:
        environment = {
            "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": servers.kafka_servers,
            "SENTINEL__KAFKA__IDEMPOTENCE": "false",
            "SENTINEL__REDIS__URL": servers.redis_url,
            "SENTINEL__HTTP__BIND": "",
            "SENTINEL__MODEL__DIRECTORY": str(models),
        }
        config = configuration.load(CONFIG, environment)
        yield Site(folder, CONFIG, environment, config, servers.kafka_servers)


async def told(at: Site, play: Play) -> Heard:
    """Send each day's feedback, wait until it is counted, and look at what is known then."""
    task_of = {play.scored.transaction_id[row]: i for i, row in enumerate(play.checked.tolist())}
    by_votes = np.full(play.checked.size, np.nan)
    skills: list[KnownSkill] = []
    async with (
        Sender(at.config) as sender,
        Instance(at) as instance,
        open_cases(at.config.redis) as store,
    ):
        for day, of_day in groupby(play.voices, lambda voice: voice.observed_ms // DAY_MS):
            said = list(of_day)
            await sender.feedback(said)
            await sender.flush()
            await counted(instance, store, said)
            voted = {v.transaction_id for v in said if v.source == "investigator"}
            for name, case in (await store.cases(sorted(voted))).items():
                if all(vote.source in ("investigator", CONSENSUS) for vote in case.votes):
                    by_votes[task_of[name]] = case.posterior
            skills += [known_skill(day, one) for one in await store.latest_annotators()]
        topic = at.config.topics.full(at.config.topics.labels)
        labels = [decode_label(value) for value in await read_topic(at.kafka_servers, topic)]
        case_count, differs_count = await compared(store, play.voices, labels)
    return Heard(labels, by_votes, skills, case_count, differs_count)


def known_skill(day: int, annotator: Annotator) -> KnownSkill:
    """What their record says of them."""
    skill = skill_of(annotator, PARAMS)
    return KnownSkill(day, annotator.name, skill.sensitivity, skill.specificity)


async def counted(instance: Instance, store: CaseStore, said: Sequence[Feedback]) -> None:
    """Wait until all of this is counted and saved, whatever is counted again between."""
    names = sorted({voice.transaction_id for voice in said})
    spoken = {(voice.transaction_id, f"{voice.source}/{voice.who}") for voice in said}
    async with asyncio.timeout(COUNTED_S_MAX):
        while True:
            instance.check()
            found = await store.cases(names)
            if spoken <= {(n, vote.annotator) for n, case in found.items() for vote in case.votes}:
                return
            await asyncio.sleep(0.01)


async def compared(
    store: CaseStore, said: Sequence[Feedback], labels: Sequence[Label]
) -> tuple[int, int]:
    """How many cases there are, and how many hold another label than their newest in the topic."""
    names = sorted({voice.transaction_id for voice in said})
    newest = {label.transaction_id: label.label for label in labels}
    count = differs_count = 0
    for begin in range(0, len(names), 1_000):
        cases = await store.cases(names[begin : begin + 1_000])
        count += len(cases)
        words = {n: WITHDRAWN if c.is_withdrawn else c.label for n, c in cases.items()}
        differs_count += sum(word != newest.get(name) for name, word in words.items())
    assert count == len(names), "every transaction that was spoken of has a case"
    return count, differs_count


if __name__ == "__main__":
    main()
