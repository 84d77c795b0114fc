"""What strangers have written, through every command that there is: it is shown and does nothing.

The commands are those of the command table: one that is added has to say here how it is called.
"""

import asyncio
import html
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.adapters.redis import RedisParams, RedisStateStore
from sentinel.cli import app
from sentinel.cli.texts import plain
from sentinel.codec.drift.references import stored_reference
from sentinel.config import load
from sentinel.core.features.state import layout_of
from sentinel.core.topics import TopicSpec
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.store.history import StoredHistory, note_history
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.operations.stores import (
    open_cases,
    open_drift,
    open_experiments,
    open_models,
    open_rollouts,
)
from sentinel.records import Record, TopicPartition
from sentinel.stored.experiments import ArmSpec, StoredVerdict
from sentinel.stored.rollouts import RolloutStatus, StoredRollout
from sentinel.stored.versions import ModelEvent, RegistryState
from sentinel.stored.votes import Annotator, Case, CaseBatch, FeedbackProgress, Vote
from sentinel.stores import StoredDrift, StoredExperiments, StoredRollouts
from tests.app import small
from tests.archive.samples import archive_at, decided, write
from tests.cli.drift_samples import a_reference, a_window, an_alarm
from tests.cli.experiment_samples import a_definition, a_look, a_ramp, an_experiment
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration

TEXT = "[/b]ACME[bold]77 [not me] \x1b[31mred\x07\u202e :boom: [link=https://x]y[/link] {{7*7}}"
TIME_MS = 1_788_256_800_000

# How each command is called; those that show what is stored must show TEXT.
SHOWS = {
    "init": ["strange.jsonl", "--yes", "--out", "new.toml"],
    "feedback add": [TEXT, "fraud", "--who", TEXT, "--notes", TEXT],
    "feedback show": [TEXT],
    "feedback ask": [],
    "investigators": [],
    "consensus": ["votes.csv"],
    "models history": [],
    "drift check": ["strange.jsonl", "--reference", "strange.jsonl"],
    "experiments analyse": ["arms.csv", "--control", "old", "--account", TEXT],
    "drift status": [],
    "drift report": [],
    "drift ack": [TEXT, "--who", TEXT, "--note", TEXT],
    "drift suppress": [TEXT, "--for", "7d", "--who", TEXT, "--why", TEXT],
    "drift reference": [],
    "experiments create": ["--name", "strange", "--arm", f"a=version={TEXT}", "--who", TEXT],
    "experiments list": [],
    "experiments show": ["fast"],
    "experiments report": ["fast"],
    "experiments pause": ["fast", "--who", TEXT, "--why", TEXT],
    "experiments stop": ["fast", "--who", TEXT, "--why", TEXT],
    "experiments settle": ["cuts", "--who", TEXT, "--why", TEXT],
    "rollouts list": [],
    "rollouts show": ["1"],
    "rollouts approve": ["2", "--who", TEXT, "--why", TEXT],
    "rollouts abort": ["3", "--who", TEXT, "--why", TEXT],
    "status": [],
    "why": [TEXT],
    "audit": [TEXT],
    "archive schema": [],
    "archive history": [TEXT],
    "dead-letters list": [],
    "dead-letters show": ["0"],
    "state show": ["account", TEXT],
    "config apply": ["small.toml", "--who", TEXT, "--why", TEXT],
}
OTHERS = {
    "models list": [],
    "check-config": ["--file", "bad.csv"],
    "train": [f"{TEXT}.csv"],
    "backfill": [f"{TEXT}.csv"],
    "features": [f"{TEXT}.csv", "--out", "out.parquet"],
    "produce": ["bad.csv", "--label-source", TEXT],
    "feedback import": ["feedback.csv"],
    "feedback waiting": [],
    "models show": [TEXT],
    "models diff": [TEXT, TEXT],
    "models at": [TEXT],
    "models stage": [TEXT, "--why", TEXT],
    "models approve": [TEXT, "--who", TEXT],
    "models promote": [TEXT, "--why", TEXT],
    "models rollback": ["--why", TEXT],
    "models archive": [TEXT],
    "models shadow": [TEXT],
    "models import": [f"{TEXT}.txt"],
    "models export": [TEXT, "folder"],
    "update now": ["--why", TEXT],
    "update show": [],
    "experiments plan": [f"{TEXT}.csv"],
    "experiments start": [TEXT, "--who", TEXT],
    "experiments ramp": ["slow", "--who", TEXT],
    "experiments resume": [TEXT, "--why", TEXT],
    "rollouts start": [TEXT, "--who", TEXT, "--why", TEXT],
    "archive verify": [],
    "archive compact": [],
    "archive examples": ["examples.parquet"],
    "topics create": [],
    "topics check": [],
    "dead-letters replay": ["0", "--yes"],
    "state reset": ["--yes"],
    "state migrate": [],
    "state adopt": ["--yes"],
    "warm": [],
    "config show": ["policy"],
    "config reset": ["--who", TEXT, "--why", TEXT],
    "pause": ["learning", "--who", TEXT, "--why", TEXT],
    "resume": ["all", "--who", TEXT, "--why", TEXT],
    "maintenance": ["on", "--who", TEXT, "--why", TEXT],
}
# These go on until they are stopped: what they show is tested where they are.
ENDLESS = {"run", "demo", "archive run"}


def commands() -> Iterator[str]:
    """Every command of the table, groups with those in them."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        if not hasattr(command, "list_commands"):
            yield " ".join(path)
            return
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), (*path, name))

    return walk(typer.main.get_command(app), ())


def test_every_command_is_called_here() -> None:
    assert set(commands()) == SHOWS.keys() | OTHERS.keys() | ENDLESS


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, kafka_params: KafkaParams, redis_params: RedisParams
) -> Iterator[Folder]:
    """Everything that is stored holds the text."""
    path = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(path)
        small.add_model(path)
        found = Folder(kafka_params, redis_params)
        asyncio.run(_fill(found))
        _write_files()
        yield found


def _write_files() -> None:
    files = archive_at(Path(".sentinel/archive"))
    value = decided(0, [1.0], account=TEXT, transaction_id=TEXT, action=TEXT, severity=TEXT)
    write(files, "decisions", [value], names=[TEXT])
    entry = {
        "id": "feedback-0-vote", "kind": "vote", "subject": TEXT, "who": TEXT, "why": TEXT,
        "at_ms": TIME_MS, "before": {TEXT: TEXT}, "after": {TEXT: 1}, "correlation_id": TEXT,
    }  # fmt: skip
    write(files, "audit", [entry])
    Path("votes.csv").write_text(f'task,worker,label\n"{TEXT}","{TEXT}",fraud\n')
    Path("feedback.csv").write_text(f'transaction_id,label,source,who\n"{TEXT}","{TEXT}",a,b\n')
    arms = [f'"{TEXT}{i}",{i},{i % 3 // 2},"{("old", TEXT)[i % 2]}"' for i in range(40)]
    Path("arms.csv").write_text("\n".join([f'"{TEXT}",time,outcome,arm', *arms]))
    row = {TEXT: TEXT}
    lines = [
        json.dumps(
            row | {"amount": i + 0.5, "time": f"2026-09-01T00:00:{i}0Z", "kind": TEXT + "xy"[i % 2]}
        )
        for i in range(6)
    ]
    Path("strange.jsonl").write_text("\n".join(lines))
    Path("bad.csv").write_text(f'transaction_id,event_time,account,amount\n1,"{TEXT}",a,1\n')


async def _fill(folder: Folder) -> None:
    params = replace(folder.redis, key_prefix=folder.name)
    votes = (Vote(f"investigator/{TEXT}", "fraud", 0, 1.0, TIME_MS, 1, notes=TEXT),)
    case = Case(TEXT, TIME_MS, {"account": TEXT}, votes, 0.5, None, "contested")
    who = Annotator(f"investigator/{TEXT}", vote_count=1, last_ms=TIME_MS)
    async with open_cases(params) as cases:
        work = CaseBatch(FeedbackProgress("log", 0), {TEXT: case}, {who.name: who})
        await cases.save(None, work)
    async with open_drift(params) as drift:
        await _fill_drift(drift)
    async with open_experiments(params) as experiments:
        await _fill_experiments(experiments)
    async with open_rollouts(params) as rollouts:
        await _fill_rollouts(rollouts)
    event = ModelEvent(1, TIME_MS, "promoted", "1.0.0", "1.0.0", None, None, TEXT, TEXT)
    state = RegistryState(number=1, stages={"1.0.0": "production"}, champion="1.0.0")
    async with open_models(params) as models:
        await models.change(RegistryState(), state, [event])
    config = load(Path("small.toml"))
    layout = layout_of(config.entities, config.features)
    async with RedisStateStore(params, layout=layout) as store:
        await note_history(store, StoredHistory(layout, (TIME_MS,), {}, TEXT))
    async with KafkaBroker(folder.kafka) as broker:
        names = ("transactions", "dead-letters", "feedback", "labels")
        topics = [f"{folder.name}-{name}" for name in names]
        await broker.ensure_topics([TopicSpec(name, 1) for name in topics])
        at = TopicPartition(topics[0], 0)
        record = Record(0, TIME_MS, TEXT.encode(), TEXT.encode(), [(TEXT, TEXT.encode())])
        letters = DeadLetters(broker, topics[1], Metrics())
        await letters.publish([(at, record, RecordError("not_json", TEXT))])
        await broker.flush()


async def _fill_experiments(store: StoredExperiments) -> None:
    arms = (ArmSpec("control", 0.5), ArmSpec(TEXT, 0.5, TEXT, {TEXT: 0.1}))
    fast = a_definition(arms=arms, segments={TEXT: (TEXT,)})
    verdict = StoredVerdict("promote", TEXT, TEXT, look=1)
    look = a_look(1, arm=TEXT, notes=[TEXT])
    for one in (
        an_experiment(fast, look=1, who=TEXT, why=TEXT, control=TEXT),
        an_experiment(replace(fast, name="cuts"), status="waiting", verdict=verdict),
        an_experiment(a_ramp(arms=arms)),
    ):
        assert await store.put(None, one, look=look if one.look else None)


async def _fill_rollouts(store: StoredRollouts) -> None:
    standing: tuple[RolloutStatus, ...] = ("refused", "waiting", "waiting")
    for number, status in enumerate(standing, 1):
        one = StoredRollout(number, TEXT, TEXT, TEXT, TEXT, ("canary",), waits_for=TEXT, why=TEXT)
        assert await store.put(None, replace(one, status=status, who=TEXT))


async def _fill_drift(drift: StoredDrift) -> None:
    texts = ("id", "version", "part", "side", "column", "words", "kind", "acknowledged_by", "note")
    hostile: dict[str, Any] = dict.fromkeys(texts, TEXT)
    await drift.put_alarm(None, an_alarm(**hostile))
    window = a_window(changed={TEXT: 0.3}, names=[TEXT], version=TEXT)
    await drift.keep_window(replace(window, actions={TEXT: 1}))
    await drift.keep_reference("1.0.0", stored_reference(a_reference(names=[TEXT])))


def test_a_page_shows_it_as_it_is_written_and_does_nothing(folder: Folder) -> None:
    folder.said("drift", "report", "--html", "drift.html")
    folder.said("drift", "report", "--alarm", TEXT, "--html", "one.html")

    folder.said("experiments", "report", "fast", "--html", "fast.html")

    for name in ("drift.html", "one.html", "fast.html"):
        page = Path(name).read_text(encoding="utf-8")
        assert html.escape(plain(TEXT)) in page
        assert all(line.isprintable() for line in page.splitlines())


@pytest.mark.parametrize("name", [*SHOWS, *OTHERS])
def test_it_is_shown_as_it_is_written_and_does_nothing(folder: Folder, name: str) -> None:
    arguments = SHOWS.get(name) or OTHERS.get(name, [])

    # The embedded broker never says what a group has committed that nobody has seen.
    patience = {"SENTINEL__KAFKA__REQUEST_TIMEOUT_S": "3"} if name == "state migrate" else {}
    result = folder.command(*name.split(), *arguments, COLUMNS="3000", **patience)

    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2)
    assert all(line.isprintable() for line in result.output.splitlines()), result.output
    assert "Traceback" not in result.output
    if name in SHOWS:
        assert result.exit_code == 0, result.output
        assert plain(TEXT) in result.output
