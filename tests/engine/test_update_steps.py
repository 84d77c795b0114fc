"""From each state of an update the step that takes it on, and what it does on the way."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import pytest

from sentinel.core.learning.triggers import AlarmTimes, TriggerParams
from sentinel.core.registry import transitions
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.registry.lifecycle import SERVES, Update, UpdateState
from sentinel.engine.updates.awaiting import Awaiting
from sentinel.engine.updates.making import Making
from sentinel.engine.updates.params import UpdateParams
from sentinel.engine.updates.promotion import Promotion
from sentinel.engine.updates.reader import ReaderPosition
from sentinel.engine.updates.steps import AT_ONCE, Step, steps_of
from sentinel.errors import ModelError, WorkerLostError
from sentinel.metrics import Metrics
from tests.engine.clock import run
from tests.engine.learning_world import (
    NO_STEPS,
    UPDATES,
    Script,
    a_learning_world,
    a_worker,
    artifact,
    candidate,
    change,
    nothing,
    put,
    registry_state_of,
    step,
)
from tests.engine.updates import a_registrar, a_store, a_watching
from tests.engine.world import InProcessTrainer, World

MADE = Update(
    state="made",
    number=1,
    strategy="retrain",
    version="1.1.0",
    verdict="promote",
    outcome="retrain: promote",
    champion="1.0.0",
    updated_ms=1_000,
)
WAITING, PROMOTING = (replace(MADE, state=state) for state in ("waiting", "promoting"))
WATCHING = replace(MADE, state="watching", watch_until_ms=2_000)
IDLE = replace(MADE, state="idle", outcome=SERVES, seen="1.0.0")
ENOUGH = ReaderPosition(newest_ms=1_500, next_offset=80, control_next=2, new_count=60)
LITTLE = replace(ENOUGH, new_count=3)
NEEDS_APPROVAL = replace(UPDATES, needs_approval=True)


class NotRolling:
    """Nothing is rolled out step by step."""

    async def take_up(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        return ()

    async def roll(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        return ()

    async def follow(self, update: Update) -> None:
        pass


@dataclass
class Steps:
    """The steps on a world, and what they are made of."""

    world: World
    params: UpdateParams = UPDATES
    script: Script = field(default_factory=Script)
    is_paused: bool = False
    rollouts: RolloutParams = NO_STEPS
    alarms: AlarmTimes = field(default_factory=AlarmTimes)

    def __post_init__(self) -> None:
        store, registrar, self.metrics = a_store(self.world), a_registrar(self.world), Metrics()
        self.trainer: InProcessTrainer = a_worker(self.script)
        triggers = self.params.triggers
        awaiting = Awaiting(store, self.trainer, triggers, clock_s=lambda: 0.0, clock_ms=lambda: 0)
        self.watching = a_watching(store, self.trainer, self.metrics, self.params)
        making = Making(
            store,
            self.trainer,
            registrar,
            awaiting,
            self.metrics,
            self.params,
            lambda: self.alarms,
            self.rollouts,
            config_version="abc",
            is_paused=lambda: self.is_paused,
        )
        promotion = Promotion(
            store,
            registrar,
            self.watching,
            self.params,
            self.rollouts,
            is_paused=lambda: self.is_paused,
        )
        self.table: Mapping[UpdateState, Sequence[Step]] = steps_of(making, promotion, NotRolling())

    def take(self, update: Update, position: ReaderPosition = LITTLE) -> tuple[Update, ...]:
        """What the first step that leads anywhere leads to."""

        async def scenario() -> tuple[Update, ...]:
            for one in self.table[update.state]:
                if leads := await one(update, position):
                    return leads
            return ()

        return run(scenario())

    def audit(self) -> list[str]:
        return [one["id"] for one in self.world.values("audit") if one["kind"] == "update"]

    def stage(self, version: str = "1.1.0") -> str | None:
        return registry_state_of(self.world).stages.get(version)


def with_candidate(*changes: Any, **manifest: Any) -> World:
    """A world in which a candidate is kept, and these changes were made to its version."""
    world = a_learning_world()
    one = artifact("1.1.0", 1)
    put(world.models, replace(one, manifest={**one.manifest, "update": 1, **manifest}))
    change(world.models, *(step(one, "1.1.0") for one in changes))
    return world


Changes = tuple[Any, ...]

REGISTERED: Changes = (transitions.registered,)
REFUSED: Changes = (*REGISTERED, transitions.refused)
STAGED: Changes = (*REGISTERED, transitions.staged)
APPROVED: Changes = (*STAGED, transitions.approved)
SERVING: Changes = (*STAGED, partial(transitions.promoted, approval_needed=False))


def test_each_state_has_a_step() -> None:
    assert set(Steps(a_learning_world()).table) == set(get_args(UpdateState))


def test_while_paused_nothing_is_begun_or_promoted_and_it_goes_on_afterwards() -> None:
    asked = replace(ENOUGH, asked_by="mia")
    steps = Steps(a_learning_world(), is_paused=True)
    assert steps.take(IDLE, ENOUGH) == steps.take(IDLE, asked) == ()
    steps.is_paused = False
    assert [one.state for one in steps.take(IDLE, asked)] == ["training"]

    steps = Steps(with_candidate(*STAGED), is_paused=True)
    assert steps.take(PROMOTING) == ()
    assert steps.stage() == "staging"
    steps.is_paused = False
    assert [one.state for one in steps.take(PROMOTING)] == ["watching"]
    assert steps.stage() == "production"


def test_while_paused_a_candidate_is_judged_and_gets_its_place() -> None:
    steps = Steps(with_candidate(*REGISTERED), is_paused=True)

    assert [one.state for one in steps.take(MADE)] == ["promoting"]
    assert steps.stage() == "staging"


def test_only_what_leads_on_by_itself_is_taken_at_once() -> None:
    """Or the loop would never come to read anything."""
    assert {"idle", "waiting", "promoting", "watching"}.isdisjoint(AT_ONCE)


def test_no_update_is_begun_before_one_is_due() -> None:
    assert Steps(a_learning_world()).take(IDLE, LITTLE) == ()
    assert Steps(a_learning_world()).take(IDLE, replace(ENOUGH, newest_ms=-1)) == ()
    off = replace(UPDATES, is_on=False)
    assert Steps(a_learning_world(), off).take(IDLE, ENOUGH) == ()
    assert Steps(a_learning_world(), off).take(IDLE, replace(ENOUGH, asked_by="ann")) == ()


def test_no_update_is_begun_where_nothing_serves() -> None:
    world = a_learning_world()
    del world.models.documents["shelf"]

    assert Steps(world).take(Update(), ENOUGH) == ()


def test_an_update_is_begun_with_what_has_been_read_by_then() -> None:
    [begun] = Steps(a_learning_world()).take(IDLE, ENOUGH)

    assert (begun.state, begun.number, begun.trigger) == ("training", 2, "continuous")
    assert (begun.updated_ms, begun.examples_to, begun.control_to) == (1_500, 80, 2)
    assert (begun.champion, begun.version) == ("1.0.0", "")
    assert begun.former.startswith("update 1")


@pytest.mark.parametrize("of", ["1.0.0", "0.9.0"])
def test_an_update_that_an_open_alarm_asks_for_again_is_urgent(of: str) -> None:
    """What the first one could not learn yet is as urgent a day later; of the champion, that is."""
    triggers = replace(UPDATES.triggers, after_example_count=0, retry_s=1.0)
    steps = Steps(
        a_learning_world(),
        replace(UPDATES, triggers=triggers),
        rollouts=RolloutParams(),
        alarms=AlarmTimes(open_of=of),
    )
    a_day_later = replace(ENOUGH, newest_ms=IDLE.updated_ms + 86_400_000)

    found = steps.take(IDLE, a_day_later)

    if of == "1.0.0":
        [begun] = found
        assert (begun.trigger, begun.is_urgent) == ("performance", True)
        assert "still open" in begun.reason
    else:
        assert found == ()


@pytest.mark.parametrize(("update", "changes"), [(WAITING, STAGED), (WATCHING, SERVING)])
def test_the_next_update_takes_the_place_of_one_that_waits_or_is_watched(
    update: Update, changes: Changes
) -> None:
    steps = Steps(with_candidate(*changes))
    assert steps.take(update, LITTLE) == ()

    ended, begun = steps.take(update, ENOUGH)

    assert ended == update.to("idle", outcome="the next update took its place")
    assert (begun.state, begun.number) == ("training", 2)


def test_what_the_trainer_finds_is_noted_told_and_counted() -> None:
    steps = Steps(a_learning_world(), script=Script([candidate(1), nothing()]))
    [training] = steps.take(IDLE, ENOUGH)

    [made] = steps.take(training)
    [none] = steps.take(training)

    assert (made.state, made.version, made.verdict) == ("made", "1.1.0", "promote")
    assert (none.state, none.outcome) == ("idle", "too few examples")
    assert steps.audit() == ["update-2-judged"] * 2
    assert steps.metrics.updates == {"promote": 1, "no candidate": 1}
    assert steps.script.draws == [2, 2]


def test_a_learner_that_fails_makes_no_candidate(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([ModelError("1.0.0", "is damaged"), ModelError("1.0.0", "is damaged")])
    steps = Steps(a_learning_world(), script=script)
    [training] = steps.take(IDLE, ENOUGH)

    with caplog.at_level(logging.WARNING):
        [ended] = steps.take(training)

    said = "no candidate: the trainer cannot update: model 1.0.0: is damaged"
    assert ended == training.to("idle", outcome=said)
    assert "update 2 makes no candidate" in caplog.text
    steps.trainer.lost_at.add("update")
    with pytest.raises(WorkerLostError):
        steps.take(training)


@pytest.mark.parametrize(
    ("verdict", "params", "stage", "state"),
    [
        ("promote", UPDATES, "staging", "promoting"),
        ("promote", NEEDS_APPROVAL, "staging", "waiting"),
        ("refuse", UPDATES, "archived", "idle"),
        ("not_yet", UPDATES, "development", "idle"),
    ],
)
def test_a_candidate_gets_its_place_once(
    verdict: Any, params: UpdateParams, stage: str, state: UpdateState
) -> None:
    world = with_candidate()
    made = replace(MADE, verdict=verdict)

    first = Steps(world, params).take(made)
    number = registry_state_of(world).number
    second = Steps(world, params).take(made)

    assert first == second == (made.to(state, outcome=made.outcome),)
    assert Steps(world).stage() == stage
    assert registry_state_of(world).number == number, "nothing was changed again"


def test_a_candidate_that_was_made_here_is_stored_with_where_it_comes_from() -> None:
    steps = Steps(a_learning_world(), script=Script([candidate(1)]))
    [training] = steps.take(IDLE, ENOUGH)
    [made] = steps.take(training)
    assert made.version not in steps.world.models.texts

    steps.take(made)

    [manifest] = run(a_store(steps.world).manifests([made.version])).values()
    assert (manifest["update"], manifest["trigger"]) == (2, "continuous")
    assert manifest["config_version"] == "abc"


@pytest.mark.parametrize("world", [a_learning_world(), with_candidate(update=7)])
def test_a_candidate_that_is_not_kept_or_another_update_s_is_lost(world: World) -> None:
    [ended] = Steps(world).take(MADE)

    assert ended.outcome == "the candidate was lost before it was stored"


def test_one_that_waits_goes_on_when_it_is_approved_and_ends_when_it_is_taken_away() -> None:
    assert Steps(with_candidate(*STAGED)).take(WAITING) == ()
    for changes in APPROVED, SERVING:
        assert Steps(with_candidate(*changes)).take(WAITING) == (WAITING.to("promoting"),)
    for changes in (), REFUSED:
        [ended] = Steps(with_candidate(*changes)).take(WAITING)
        assert (ended.state, ended.outcome) == ("idle", "somebody has decided otherwise")


@pytest.mark.parametrize("changes", [STAGED, SERVING])
def test_a_promotion_is_done_once_and_watched_from_the_newest_example_on(
    changes: Changes,
) -> None:
    steps = Steps(with_candidate(*changes))

    [watched] = steps.take(PROMOTING)

    assert watched == PROMOTING.to("watching", watch_until_ms=1_500 + 3_600_000, seen="1.1.0")
    assert registry_state_of(steps.world).champion == "1.1.0"


def test_nothing_is_promoted_without_an_approval_or_out_of_another_stage() -> None:
    steps = Steps(with_candidate(*STAGED), NEEDS_APPROVAL)
    assert steps.take(PROMOTING) == (PROMOTING.to("waiting"),)

    [ended] = Steps(with_candidate(*REGISTERED)).take(PROMOTING)
    assert ended.outcome == "it is in development, somebody has decided otherwise"


def test_a_watch_lasts_until_an_example_is_newer() -> None:
    steps = Steps(with_candidate(*SERVING))

    assert steps.take(WATCHING, replace(LITTLE, newest_ms=2_000)) == ()
    [ended] = steps.take(WATCHING, replace(LITTLE, newest_ms=2_001))

    assert (ended.state, ended.outcome) == ("idle", SERVES)


def test_a_champion_that_hurts_goes_back_if_it_may() -> None:
    for is_automatic in (False, True):
        watch = replace(UPDATES.watch, is_automatic=is_automatic)
        steps = Steps(with_candidate(*SERVING), replace(UPDATES, watch=watch))
        steps.watching.begin(steps.watching.counts())
        steps.metrics.version_failures["1.1.0"] += 1

        leads = steps.take(WATCHING)

        if is_automatic:
            assert [one.outcome for one in leads] == ["rolled back: it cannot score what comes"]
            assert registry_state_of(steps.world).champion == "1.0.0"
        else:
            assert leads == ()
            assert registry_state_of(steps.world).champion == "1.1.0"


def test_a_watch_ends_when_another_version_serves() -> None:
    world = with_candidate(*SERVING)
    change(world.models, transitions.rolled_back)
    [ended] = Steps(world).take(WATCHING)
    assert ended.outcome == "rolled back: tests"

    [ended] = Steps(with_candidate(*STAGED)).take(WATCHING)
    assert ended.outcome == "somebody has decided otherwise"


def test_triggers_that_are_off_begin_nothing() -> None:
    never = TriggerParams(after_example_count=0, every_s=0.0, gap_min_s=0.0, example_count_min=10)
    steps = Steps(a_learning_world(), replace(UPDATES, triggers=never))

    assert steps.take(IDLE, ENOUGH) == ()
    [begun] = steps.take(IDLE, replace(ENOUGH, asked_by="ann"))
    assert (begun.trigger, begun.state) == ("demand", "training")
