"""`sentinel models`, on a real broker and a real store."""

import asyncio
import getpass
import json
import shutil
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams, connect
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.codec.records import decode_model_event
from sentinel.operations.models import imports
from sentinel.operations.models import registry as app_models
from sentinel.operations.stores import open_models, open_reports
from sentinel.stored.versions import ModelEvent, RegistryState, ServingReport
from sentinel.stores import StoredModels
from tests.app import small
from tests.cli.folder import Folder
from tests.engine.linear_trees import linear_text

pytestmark = pytest.mark.integration


WORDS = ("models",)


def with_store(folder: Folder, work: Callable[[StoredModels], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with open_models(replace(folder.redis, key_prefix=folder.name)) as store:
            return await work(store)

    return asyncio.run(main())


def registry_state_of(folder: Folder) -> RegistryState:
    registry_state: RegistryState = with_store(folder, lambda store: store.registry_state())
    return registry_state


def history_of(folder: Folder) -> list[ModelEvent]:
    events: list[ModelEvent] = with_store(folder, lambda store: store.history())
    return events


@pytest.fixture
def folder(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    monkeypatch.chdir(tmp_path)
    models = ModelDirectory(small.add_model(tmp_path).model)
    first = models.load("1.0.0")
    facts = {n: v for n, v in first.manifest.items() if n not in ("version", "sha256")}
    facts["fit"] = {**facts["fit"], "learning_rate": 0.05}
    facts |= {"strategy": "retrain", "parent": "1.0.0"}
    models.add("1.1.0", first.text, facts)
    return Folder(kafka_params, redis_params, WORDS)


@pytest.fixture
def serving(folder: Folder) -> Folder:
    """1.0.0 serves, 1.1.0 is in staging; what an import tries has tests of its own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(imports, "try_version", lambda *_: {})
        folder.said("import", "1.0.0", "--who", "ann")
        folder.said("promote", "1.0.0", "--who", "ann", "--why", "the first one")
        folder.said("import", "1.1.0", "--who", "ann")
    return folder


def test_a_trained_version_is_imported_and_promoted(folder: Folder) -> None:
    said = folder.said("import", "1.0.0", "--who", "ann")
    assert said.splitlines() == ["1.0.0 is in the registry", "1.0.0 is in staging"]
    assert registry_state_of(folder) == RegistryState(2, {"1.0.0": "staging"}, challenger="1.0.0")

    said = folder.said("promote", "1.0.0", "--who", "ann", "--why", "the first one")

    assert said == "1.0.0 is the champion\n"
    assert registry_state_of(folder) == RegistryState(3, {"1.0.0": "production"}, "1.0.0")
    assert [(one.kind, one.who, one.why) for one in history_of(folder)] == [
        ("registered", "ann", "imported from models/1.0.0"),
        ("staged", "ann", "imported from models/1.0.0"),
        ("promoted", "ann", "the first one"),
    ]


def test_every_change_is_published_under_its_version_and_audited(serving: Folder) -> None:
    serving.said("shadow", "1.1.0", "--why", "to compare")
    serving.said("shadow", "none")
    serving.said("promote", "1.1.0", "--who", "bob", "--why", "better")
    serving.said("rollback", "--who", "bob", "--why", "alerts doubled")

    published = serving.published("model-updates")
    events = [decode_model_event(record.value) for record in published]
    assert events == history_of(serving)
    assert [record.key for record in published] == [event.version.encode() for event in events]
    assert [event.kind for event in events[5:]] == [
        "shadowed", "shadowed", "promoted", "rolled_back",
    ]  # fmt: skip
    assert events[5].who == getpass.getuser()
    assert (events[-1].champion, events[-1].champion_before) == ("1.0.0", "1.1.0")
    entries = [json.loads(record.value or b"") for record in serving.published("audit")]
    assert [entry["subject"] for entry in entries] == [event.version for event in events]
    last = entries[-1]
    assert (last["kind"], last["who"], last["at_ms"]) == ("model", "bob", events[-1].at_ms)
    assert (last["before"]["stage"], last["after"]["stage"]) == ("production", "archived")
    assert (last["before"]["champion"], last["after"]["champion"]) == ("1.1.0", "1.0.0")
    assert last["after"]["why"] == "alerts doubled"
    assert entries[0]["before"] is None
    assert len({entry["id"] for entry in entries}) == len(entries) == 9


def test_a_rollback_goes_back_and_is_told(serving: Folder) -> None:
    serving.said("promote", "1.1.0", "--why", "better")

    said = serving.said("rollback", "--to", "1.0.0", "--why", "it blocks everybody")

    assert said == "1.0.0 is the champion again, 1.1.0 is archived\n"
    refusal = serving.refusal("promote", "1.1.0", "--why", "try again")
    assert refusal.startswith("version 1.1.0 cannot be promoted: it is archived and was refused")
    again = serving.said("promote", "1.1.0", "--why", "the cause is found", "--force")
    assert again == "1.1.0 is the champion, after 1.0.0\n"


def test_where_an_approval_is_needed_nothing_serves_without_one(serving: Folder) -> None:
    needed = {"SENTINEL__UPDATES__NEEDS_APPROVAL": "true"}
    assert serving.refusal("promote", "1.1.0", "--why", "better", exit_code=2, **needed) == (
        "version 1.1.0 cannot be promoted: nobody has approved it yet"
    )

    assert serving.said("approve", "1.1.0", "--who", "eve") == "1.1.0 is approved by eve\n"
    assert "approved by eve" in serving.said("show", "1.1.0")
    serving.said("promote", "1.1.0", "--why", "better", **needed)

    assert registry_state_of(serving).champion == "1.1.0"


def test_what_cannot_be_is_one_clear_line(serving: Folder) -> None:
    assert serving.refusal("promote", "1.0.0", "--why", "x") == (
        "version 1.0.0 cannot be promoted: it is in production, must be in staging"
    )
    assert "--why must give the reason" in serving.refusal("promote", "1.1.0", "--why", " ")
    assert "no such version; there are 1.0.0 or 1.1.0" in serving.refusal("stage", "9.0.0")
    assert "no other version served before it" in serving.refusal("rollback", "--why", "x")
    assert "cannot be registered: it is in staging" in serving.refusal("import", "1.1.0")
    assert "cannot be read from models/9.0.0" in serving.refusal("import", "9.0.0")
    assert "name a file with a model, a version of model.directory" in serving.refusal("import")
    assert "there is no such file, and it is no version" in serving.refusal("import", "model.txt")
    assert "belong to a file with a model" in serving.refusal("import", "1.1.0", "--as", "1.2.0")
    assert "not in the registry; there: 1.0.0, 1.1.0" in serving.refusal("show", "9.0.0")
    assert "is not a time such as" in serving.refusal("at", "noon")
    assert "is not there" in serving.refusal("export", "9.0.0", "out")
    assert len(history_of(serving)) == 5, "nothing was changed"


def test_a_model_for_other_features_gets_no_way_in(folder: Folder) -> None:
    path = Path("models/1.1.0/manifest.json")
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "features": ["amount"]}))

    refusal = folder.refusal("import", "1.1.0")

    assert refusal.startswith("model 1.1.0: was trained on other features")
    assert registry_state_of(folder) == RegistryState()


def test_a_damaged_model_is_never_promoted(serving: Folder) -> None:
    async def damage() -> None:
        key = f"{serving.name}:artifact:1.1.0"
        async with connect(serving.redis, db=serving.redis.registry_db) as client:
            await client.setrange(key, 100, b"?")

    asyncio.run(damage())

    refusal = serving.refusal("promote", "1.1.0", "--why", "better")

    assert refusal == "model 1.1.0: its text does not have the manifest's SHA-256"
    assert "SHA-256" in serving.refusal("shadow", "1.1.0")
    assert "SHA-256" in serving.refusal("export", "1.1.0", "out")
    assert registry_state_of(serving).champion == "1.0.0"


def test_a_change_that_could_not_be_published_says_so_and_is_done(serving: Folder) -> None:
    away = {"SENTINEL__KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}

    result = serving.command("promote", "1.1.0", "--why", "better", **away)

    assert result.exit_code == 1
    assert result.stdout == "1.1.0 is the champion, after 1.0.0\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("sentinel: the registry is changed, and running instances will see it")
    assert line.endswith("do not tell of it: connect to 127.0.0.1:1: nobody listens there")
    assert registry_state_of(serving).champion == "1.1.0"


def test_a_registry_that_is_away_changes_nothing(serving: Folder) -> None:
    away = {"SENTINEL__REDIS__URL": "redis://127.0.0.1:1"}

    refusal = serving.refusal("promote", "1.1.0", "--why", "x", exit_code=1, **away)

    assert refusal.startswith("redis, read where the models stand")
    assert len(serving.published("model-updates")) == 5


def test_what_another_has_changed_meanwhile_is_not_overwritten(
    serving: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback that takes away another champion than the one that was seen is no rollback."""
    change = StoredModels.change

    async def late(
        store: StoredModels, before: RegistryState, after: RegistryState, events: Any
    ) -> None:
        await change(store, before, replace(before, number=before.number + 1), [])
        await change(store, before, after, events)

    monkeypatch.setattr(StoredModels, "change", late)

    refusal = serving.refusal("promote", "1.1.0", "--why", "better", exit_code=1)

    assert refusal.startswith("nothing is done: another has changed where the models stand")
    assert registry_state_of(serving).champion == "1.0.0"
    assert len(serving.published("model-updates")) == 5


def test_versions_are_listed_with_their_stage_and_role(serving: Folder) -> None:
    serving.said("shadow", "1.1.0")

    lines = serving.said("list").splitlines()

    assert "2 versions" in lines[0]
    first, second = (next(line for line in lines if v in line) for v in ("1.0.0", "1.1.0"))
    assert "champion" in first
    assert "challenger, shadow" in second
    assert "retrain" in second
    found = [json.loads(line) for line in serving.said("list", "--json").splitlines()]
    assert [(one["version"], one["stage"], one["roles"]) for one in found] == [
        ("1.0.0", "production", ["champion"]),
        ("1.1.0", "staging", ["challenger", "shadow"]),
    ]
    assert found[1]["parent"] == "1.0.0"
    assert found[0]["metrics"]["auc"] > 0.5
    assert found[0]["trees"] == 12


def test_a_version_is_shown_with_what_became_of_it(serving: Folder) -> None:
    serving.said("promote", "1.1.0", "--who", "bob", "--why", "better")

    shown = serving.said("show", "1.0.0")

    assert shown.startswith("1.0.0: archived, served before")
    assert "fit.learning_rate" in shown
    assert "account_count_7d" in shown
    lines = [line for line in shown.splitlines() if "is the champion" in line]
    assert ["ann" in line for line in lines] == [True, False], "its promotion, and its successor's"
    found = json.loads(serving.said("show", "1.0.0", "--json"))
    assert found["manifest"]["fit"]["tree_count"] == 12
    assert [one["kind"] for one in found["history"]] == [
        "registered", "staged", "promoted", "promoted",
    ]  # fmt: skip


def test_versions_are_compared_in_what_differs(serving: Folder) -> None:
    lines = serving.said("diff", "1.0.0", "1.1.0").splitlines()

    (rate,) = (line for line in lines if "fit.learning_rate" in line)
    assert rate.split("│")[2:4] == [" 0.2   ", " 0.05    "]
    assert not any("sha256" in line or "tree_count" in line for line in lines)
    assert json.loads(serving.said("diff", "1.0.0", "1.1.0", "--json")) == {
        "fit.learning_rate": {"1.0.0": 0.2, "1.1.0": 0.05},
        "strategy": {"1.0.0": "first", "1.1.0": "retrain"},
        "parent": {"1.0.0": None, "1.1.0": "1.0.0"},
    }
    assert "they are the same" in serving.said("diff", "1.0.0", "1.0.0")


def test_who_served_at_a_time_is_told(serving: Folder) -> None:
    assert "no version of the registry served" in serving.said("at", "2001-01-01T00:00:00Z")

    said = serving.said("at", "2999-01-01T00:00:00Z")

    assert said.startswith("1.0.0 served at 2999-01-01 00:00:00: promoted 20")
    assert said.endswith("by ann, the first one\n")
    found = json.loads(serving.said("at", "2999-01-01T00:00:00Z", "--json"))
    assert (found["champion"], found["since"]["number"]) == ("1.0.0", 3)
    nothing = json.loads(serving.said("at", "2001-01-01T00:00:00Z", "--json"))
    assert (nothing["champion"], nothing["since"]) == (None, None)


def test_the_history_is_every_change(serving: Folder) -> None:
    lines = serving.said("history").splitlines()
    assert sum("is in the registry" in line for line in lines) == 2

    newest = serving.said("history", "--limit", 1)
    assert "is in the registry" not in newest
    assert "the last 1 of 5" in newest
    found = [json.loads(line) for line in serving.said("history", "--json").splitlines()]
    assert [one["number"] for one in found] == [1, 2, 3, 4, 5]


def test_what_is_exported_can_be_imported_elsewhere(serving: Folder) -> None:
    said = serving.said("export", "1.1.0", "out")
    assert said == "1.1.0 is in out: model.txt and manifest.json\n"
    assert "there is a model already" in serving.refusal("export", "1.1.0", "out")

    other = Folder(serving.kafka, serving.redis, WORDS)
    assert "holds version 1.1.0, not 1.0.0" in other.refusal("import", "1.0.0", "--file", "out")
    other.said("import", "--file", "out/model.txt")

    assert registry_state_of(other).stages == {"1.1.0": "staging"}
    text = ModelDirectory(ModelParams("models")).load("1.1.0").text
    assert with_store(other, lambda store: store.load("1.1.0")).text == text
    shutil.copy("models/1.0.0/model.txt", "out/model.txt")
    Path("out/model.txt").write_bytes(Path("out/model.txt").read_bytes()[:-1])
    third = Folder(serving.kafka, serving.redis, WORDS)
    assert "does not have the manifest's SHA-256" in third.refusal("import", "--file", "out")
    assert "cannot be read" in third.refusal("import", "--file", "nowhere")


def test_a_version_can_be_withdrawn(serving: Folder) -> None:
    assert serving.said("archive", "1.1.0", "--why", "not wanted") == "1.1.0 is archived\n"

    assert registry_state_of(serving).stages["1.1.0"] == "archived"
    assert "it is in production" in serving.refusal("archive", "1.0.0")


def reported(folder: Folder, *reports: ServingReport, ended: Sequence[ServingReport] = ()) -> None:
    """As running instances do."""

    async def main() -> None:
        async with open_reports(replace(folder.redis, key_prefix=folder.name)) as store:
            for report in ended:
                await store.end(report)
            for report in reports:
                await store.report(report, ttl_s=60.0)

    asyncio.run(main())


def test_what_instances_serve_is_listed_where_it_is_not_the_champion(serving: Folder) -> None:
    assert "no running instance has said what it serves" in serving.said("list")
    reported(
        serving,
        ServingReport("host-1", "1.0.0", "1.0.0"),
        ServingReport("host-2", "0.9.0", "1.0.0", why="gives \x1b[2J[bold]another score"),
        ServingReport("host-3", "0.9.0", is_pinned=True),
        ServingReport("host-4", "0.9.0"),
        ServingReport("host-5", "1.0.0", "1.0.0", unexplained="linear trees"),
        ServingReport("host-6", "1.0.0", "1.0.0", shadow_why="is damaged"),
    )

    shown = serving.said("list")

    assert "3 instances" in next(line for line in shown.splitlines() if "champion" in line)
    assert shown.splitlines()[-5:] == [
        r"host-2: serves 0.9.0, not 1.0.0: gives \x1b[2J[bold]another score",
        "host-3: serves 0.9.0, not 1.0.0: its configuration names it",
        "host-4: serves 0.9.0, not 1.0.0: it has not heard of it yet",
        "host-5: its alerts go out without reasons: linear trees",
        "host-6: its shadow does not score: is damaged",
    ]
    found = [json.loads(line) for line in serving.said("list", "--json").splitlines()]
    assert found[0]["served_by"] == ["host-1", "host-5", "host-6"]
    assert found[1]["served_by"] == []


def test_who_served_something_else_at_a_time_is_told(serving: Folder) -> None:
    day_ms = 86_400_000
    now = app_models.now_ms()
    reported(
        serving,
        ServingReport("host-1", "1.0.0", "1.0.0", since_ms=now - day_ms, until_ms=now),
        ServingReport("host-2", "0.9.0", "1.0.0", "is damaged", since_ms=now + 5, until_ms=now + 6),
        ended=[
            ServingReport("host-2", "0.8.0", "1.0.0", "has no score", since_ms=9, until_ms=now),
            ServingReport("host-3", "0.8.0", "0.8.0", since_ms=0, until_ms=10),
        ],
    )

    early = serving.said("at", "1970-01-01T00:00:00.009Z").splitlines()
    assert early == [
        "no version of the registry served at 1970-01-01 00:00:00",
        "host-2: served 0.8.0, the registry had no champion",
        "host-3: served 0.8.0, the registry had no champion",
    ]
    later = serving.said("at", "2999-01-01T00:00:00Z").splitlines()
    assert later[0].startswith("1.0.0 served at")
    assert later[1:] == ["host-2: served 0.9.0, not 1.0.0: is damaged"]
    found = json.loads(serving.said("at", "2999-01-01T00:00:00Z", "--json"))
    assert [one["version"] for one in found["reports"]] == ["1.0.0", "0.9.0"]


def test_a_promotion_that_pinned_instances_will_not_see_says_so(serving: Folder) -> None:
    reported(serving, ServingReport("host-3", "0.9.0", is_pinned=True))

    result = serving.command(
        "promote", "1.1.0", "--why", "better", SENTINEL__MODEL__VERSION="1.0.0"
    )

    assert (result.exit_code, result.stdout) == (0, "1.1.0 is the champion, after 1.0.0\n")
    assert result.stderr.splitlines() == [
        'sentinel: model.version = "1.0.0" is configured: an instance with this configuration goes '
        "on serving 1.0.0 and makes no updates, whatever the registry says",
        "sentinel: host-3 goes on serving 0.9.0, which its configuration names",
    ]
    assert serving.command("rollback", "--why", "worse").stderr.splitlines() == [
        "sentinel: host-3 goes on serving 0.9.0, which its configuration names"
    ]
    assert serving.command("stage", "1.1.0").stderr.count("\n") == 1, "of its own, as it cannot be"


def test_an_update_is_asked_for_with_a_word_about_the_pin(serving: Folder) -> None:
    update = Folder(serving.kafka, serving.redis, ("update",), serving.name)
    assert update.command("now").stderr == ""

    result = update.command("now", SENTINEL__MODEL__VERSION="1.0.0")

    assert result.exit_code == 0
    assert result.stderr.startswith('sentinel: model.version = "1.0.0" is configured: an instance')


def test_a_model_that_no_instance_would_serve_is_not_promoted(serving: Folder) -> None:
    """It got in before the features were changed, and its golden rows are another's."""
    manifest = json.loads(Path("models/1.1.0/manifest.json").read_bytes())
    golden = {**manifest["golden"], "score": [0.5 for _ in manifest["golden"]["score"]]}

    async def damage() -> None:
        key = f"{serving.name}:manifest:1.1.0"
        async with connect(serving.redis, db=serving.redis.registry_db) as client:
            kept = json.loads(await client.get(key) or b"")
            await client.set(key, json.dumps({**kept, "golden": golden}))

    asyncio.run(damage())

    refusal = serving.refusal("promote", "1.1.0", "--why", "better")

    assert refusal == "model 1.1.0: gives another score here than where it was made"
    assert registry_state_of(serving).champion == "1.0.0"


def test_a_model_that_will_not_be_explained_is_promoted_with_a_note(serving: Folder) -> None:
    kept = ModelDirectory(ModelParams("models"))
    first = kept.load("1.0.0")
    facts = {n: v for n, v in first.manifest.items() if n not in ("version", "sha256", "golden")}
    kept.add("1.2.0", linear_text(tuple(facts["features"])), facts)
    note = (
        "sentinel: alerts that 1.2.0 decides go out without reasons: "
        "Predicting SHAP feature contributions is not implemented for linear trees.\n"
    )

    with pytest.MonkeyPatch.context() as patched:  # it was imported before that was tried
        patched.setattr(imports, "try_version", lambda *_: {})
        serving.said("import", "1.2.0")
    result = serving.command("promote", "1.2.0", "--why", "better")

    assert (result.exit_code, result.stderr) == (0, note)
    assert registry_state_of(serving).champion == "1.2.0"
