"""`sentinel experiments`, on a real broker and a real store."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams
from sentinel.codec.stored import decode_stored
from sentinel.operations.stores import open_experiments, open_models
from sentinel.stored.experiments import StoredExperiment
from sentinel.stored.versions import RegistryState
from sentinel.stores import StoredExperiments
from tests.app import small
from tests.cli.experiment_samples import fill
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration

SECRET = {"SENTINEL__EXPERIMENTS__SECRET": "a secret of ours"}
MODEL = ("--arm", "challenger=version=1.1.0")
CUTS = ("--arm", "cuts=policy.review_min=0.1,policy.block_min=0.9")


def with_store(
    folder: Folder, work: Callable[[StoredExperiments], Coroutine[Any, Any, Any]]
) -> Any:
    async def main() -> Any:
        async with open_experiments(replace(folder.redis, key_prefix=folder.name)) as store:
            return await work(store)

    return asyncio.run(main())


@pytest.fixture
def empty(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    """With a champion, and a version that may be one, but without an experiment."""
    monkeypatch.chdir(tmp_path)
    small.config(tmp_path)
    folder = Folder(kafka_params, redis_params, words=("experiments",))
    stages: dict[str, Any] = {"1.0.0": "production", "1.1.0": "staging", "0.9.0": "archived"}

    async def register() -> None:
        async with open_models(replace(folder.redis, key_prefix=folder.name)) as models:
            state = RegistryState(number=1, stages=stages, champion="1.0.0")
            await models.change(RegistryState(), state, [])

    asyncio.run(register())
    return folder


@pytest.fixture
def folder(empty: Folder) -> Folder:
    with_store(empty, fill)
    return empty


def refused(folder: Folder, *arguments: str) -> str:
    return folder.refusal(*arguments, exit_code=2, **SECRET)


def kept(folder: Folder, name: str) -> StoredExperiment:
    found = with_store(folder, lambda store: store.experiment(name))
    assert isinstance(found, StoredExperiment)
    return found


def told(folder: Folder) -> list[StoredExperiment]:
    records = folder.published("experiments")
    return [decode_stored(StoredExperiment, one.value or b"") for one in records]


def test_before_the_first_one_the_list_says_how_to_write_one_down(empty: Folder) -> None:
    assert empty.said("list") == (
        "there is no experiment yet: `sentinel experiments create` writes one down\n"
    )
    assert empty.refusal("show", "fast") == 'there is no experiment "fast": there is none yet'


def test_a_draft_says_what_it_will_take_and_how_to_start_it(empty: Folder) -> None:
    said = empty.said("create", "--name", "fast", *MODEL, "--metric", "fraud_missed", "--looks", 14)

    assert said.splitlines() == [
        "fast@1: split, fixed shares of the accounts",
        "  control     has   50 %  as the champion",
        "  challenger  has   50 %  model 1.1.0",
        'takes part: 100 % of the accounts of layer "main"',
        "decides: fraud_missed, frauds that were approved, of all transactions; lower is better",
        "looks: 14 in 28d of event time from the first decision, one as each 2 d have matured (as "
        "long as labels take, by [maturity])",
        "two equal arms are told apart in 5 % of experiments, all looks together; a gain below 10 "
        "% of the control's does not matter",
        "whatever wins waits for a person",
        "fast@1 is a draft: `sentinel experiments start fast` lets it run",
    ]
    assert kept(empty, "fast").status == "draft"


def test_an_experiment_lives_by_its_commands_and_everybody_is_told(empty: Folder) -> None:
    empty.said("create", "--name", "slow", "--design", "ramp", *MODEL, "--who", "ann")
    assert empty.said("start", "slow", "--who", "ann", **SECRET).splitlines() == [
        "slow@1 is running at step 1 of 4, 1 % of the accounts: its first look falls when 1 d 9 h "
        "of event time have matured"
    ]
    assert "at step 2 of 4, 5 %" in empty.said("ramp", "slow", "--who", "bob")
    assert "at step 4 of 4, 50 %" in empty.said("ramp", "slow", "--to", 4, "--who", "bob")
    assert "is paused at step 4 of 4, 50 % of the accounts by bob: lunch; the champion" in (
        empty.said("pause", "slow", "--who", "bob", "--why", "lunch")
    )
    assert "is running" in empty.said("resume", "slow", "--who", "bob")
    assert empty.said("stop", "slow", "--why", "enough", "--who", "ann").splitlines() == [
        "slow@1 has ended: stopped: enough",
        "the champion decides for all of its accounts",
    ]

    statuses = [(one.status, one.step, one.who) for one in told(empty)]
    assert statuses == [
        ("draft", 0, "ann"),
        ("running", 0, "ann"),
        ("running", 1, "bob"),
        ("running", 3, "bob"),
        ("paused", 3, "bob"),
        ("running", 3, "bob"),
        ("ended", 3, "ann"),
    ]
    assert told(empty)[-1] == kept(empty, "slow")
    entries = [json.loads(one.value or b"") for one in empty.published("audit")]
    assert [one["kind"] for one in entries] == ["experiment"] * 7
    assert entries[-1]["after"]["why"] == "enough"
    assert with_store(empty, lambda store: store.plan()).experiments == ()


def test_a_draft_that_is_written_anew_is_told_with_who_wrote_it(empty: Folder) -> None:
    empty.said("create", "--name", "fast", *MODEL, "--who", "ann")
    empty.said("create", "--name", "fast", *CUTS, "--who", "bob")

    assert kept(empty, "fast").definition.id == "fast@1"
    assert kept(empty, "fast").who == "bob"
    entries = [json.loads(one.value or b"") for one in empty.published("audit")]
    assert [one["who"] for one in entries] == ["ann", "bob"]


def test_what_ran_before_stays_readable_when_a_new_definition_takes_its_name(
    empty: Folder,
) -> None:
    empty.said("create", "--name", "fast", *MODEL)
    empty.said("start", "fast", **SECRET)
    empty.said("stop", "fast", "--why", "enough")

    assert "fast@2 is a draft" in empty.said("create", "--name", "fast", *CUTS)

    assert "stopped: enough" in empty.said("show", "fast@1")
    assert "review_min 0.1, block_min 0.9" in empty.said("show", "fast")


def test_a_file_says_all_of_it(empty: Folder) -> None:
    Path("fast.toml").write_text(
        """
        [experiment]
        name = "fast"
        design = "split"
        metric = "cost"
        traffic = 0.2
        may_promote = true
        arms = [
          { name = "control", share = 0.6 },
          { name = "model", share = 0.2, version = "1.1.0" },
          { name = "both", share = 0.2, version = "1.1.0", policy = { review_min = 0.1 } },
        ]
        """
    )

    said = empty.said("create", "fast.toml")

    assert "  model    has   20 %  model 1.1.0" in said
    assert "  both     has   20 %  model 1.1.0, review_min 0.1" in said
    assert 'takes part: 20 % of the accounts of layer "main"' in said
    assert "a winning model is promoted by the registry's own way" in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("create",), "give a FILE, or --name and what is compared, such as --arm"),
        (("create", "x.toml", "--looks", "3"), "give a FILE or options that say what is compared"),
        (("create", "no.toml"), "no.toml: cannot be read: "),
        (("create", "bad.toml"), "bad.toml: is not TOML: "),
        (("create", "plain.toml"), "plain.toml: what is to be compared stands in [experiment], "),
        (("create", "--name", "x"), "say what is compared with the champion, such as --arm"),
        (("create", "--name", "x", "--aa", *MODEL), "say what is compared with the champion"),
        (("create", "--name", "x", "--arm", "a"), '--arm "a" must be NAME=version=V or NAME='),
        (("create", "--name", "x", "--arm", "a=b=1"), '--arm a: "b" must be version, or a setting'),
        (("create", "--name", "x", "--arm", "a=policy.review_min=no"), '--arm a: "no" of policy.'),
        (("create", "--name", "x", "--aa", "--steps", "a"), '--steps "a" must be shares such as'),
        (("create", "--name", "x", "--aa", "--segment", "a"), '--segment "a" must be FIELD=VALUE'),
        (("create", "--name", "x", "--aa", "--metric", "a"), "[experiment] metric must be one of"),
        (("create", "--name", "fast", "--aa"), "experiment fast@1 is running: what it compares is"),
        (("start", "nothing"), "there is no experiment of that name; there are: "),
        (("start", "fast"), "experiment fast@1 is running: only one that is a draft can be start"),
        (("ramp", "fast"), "experiment fast@1 has 1 steps and is at the 1st: there is no 2nd"),
        (("resume", "fast"), "experiment fast@1 is running: only one that is paused can be resu"),
        (("stop", "old", "--why", "x"), "experiment old@1 is over: only one that is a draft or"),
        (("stop", "fast", "--why", " "), "--why must give the reason"),
        (("settle", "fast", "--why", "x"), "experiment fast@1 is running: only one that is wait"),
        (("pause", "fast", "--why", "x" * 2_001), "--why may have 2,000 characters, not 2,001"),
        (("show", "nothing"), 'there is no experiment "nothing"; there are: '),
        (("report", "fast@9"), 'there is no experiment "fast@9"; there are: '),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Folder, arguments: tuple[str, ...], why: str
) -> None:
    Path("bad.toml").write_text("[experiment")
    Path("plain.toml").write_text('name = "x"')

    assert refused(folder, *arguments).startswith(why)


def test_nothing_starts_without_a_secret_or_with_a_model_that_cannot_serve(empty: Folder) -> None:
    empty.said("create", "--name", "fast", *MODEL)
    empty.said("create", "--name", "gone", "--arm", "a=version=0.9.0")

    assert empty.refusal("start", "fast").startswith("[experiments] secret is empty: ")
    assert refused(empty, "start", "gone") == (
        "model 0.9.0 is none that can serve; the registry has 1.0.0, 1.1.0"
    )


def test_the_list_is_a_line_for_each(folder: Folder) -> None:
    said = folder.said("list")

    for words in (
        "fast@1", "3 of 4", "challenger: model 1.1.0", "step 2 of 4, 5 % of the accounts",
        "promote challenger", "review_min 0.1", "stopped",
    ):  # fmt: skip
        assert words in said
    rows = [json.loads(line) for line in folder.said("list", "--json").splitlines()]
    assert {one["definition"]["name"] for one in rows} == {"fast", "beside", "slow", "cuts", "old"}
    assert "the newest 2 of 5" in folder.said("list", "--limit", 2)


def test_one_is_shown_with_its_last_look(folder: Folder) -> None:
    said = folder.said("show", "fast")

    for words in (
        "started 2026-08-12 10:00 UTC; the control is version 1.0.0",
        "fast@1 is running: look 3 of 4 has decided nothing; the next one is 7 d on",
        "fraud_loss, per 1,000 transactions: the planned test",
        "-12.00",  # 1.2 minor units a transaction less
        "-27.00 to +3.00",
        "-2.25 of ±2.36",
        "75 %",
        "+0.13 points",
        "+6.5 %",
        "against the planned shares speaks 0.31 to 1 (alarm at 1,000 to 1)",
        "note: what is younger than 21 days does not count",
    ):
        assert words in said
    assert json.loads(folder.said("show", "fast", "--json"))["stored"]["look"] == 3


def test_a_shadow_is_shown_in_frauds_and_in_money(folder: Folder) -> None:
    said = folder.said("show", "beside")

    for words in (
        "challenger  scores   50 %  model 1.1.0",
        "50,000 transactions were scored by both; 690 of 1,000 alerts would be the same",
        "40 the challenger, 21 the champion; by the first of each account 38 and 20",
        "the challenger's less the champion's: +1,234.56",
        "evidence that it finds more 10 to 1, that it finds fewer 0.25 to 1",
    ):
        assert words in said


def test_what_waits_for_a_person_says_what_for_and_is_settled(folder: Folder) -> None:
    said = folder.said("show", "cuts")
    assert "cuts@1 waits for a person: promote challenger at look 3: the challenger is better" in (
        said
    )
    assert "to carry it out: review_min = 0.1 in [policy] of the configuration; then" in said

    settled = folder.said("settle", "cuts", "--why", "in the configuration", "--who", "ann")

    assert "settled by ann: in the configuration" in settled
    assert kept(folder, "cuts").status == "ended"


def test_the_report_has_every_look(folder: Folder) -> None:
    said = folder.said("report", "fast")

    for words in ("-0.75 of ±4.33", "-1.50 of ±2.96", "-2.25 of ±2.36"):
        assert words in said
    assert len(json.loads(folder.said("report", "fast", "--json"))["looks"]) == 3


def test_what_the_topics_do_not_tell_is_done_and_said(folder: Folder) -> None:
    away = {"SENTINEL__KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}

    result = folder.command("pause", "fast", **away)

    assert result.exit_code == 1
    assert "fast@1 is paused" in result.stdout
    assert "experiments and" in result.stderr
    assert "do not tell of it" in result.stderr
    assert kept(folder, "fast").status == "paused"
