"""What is kept of experiments, as tests want it: definitions, how they stand, looks."""

from dataclasses import replace
from typing import Any

from sentinel.ports import ExperimentStore
from sentinel.stored.experiments import (
    ArmSpec,
    Definition,
    Design,
    StoredExperiment,
    StoredVerdict,
)
from sentinel.stored.looks import ComparedMetric, LookReport, PlannedLook

NOW_MS = 1_788_256_800_000
DAY_MS = 86_400_000
CONTROL = ArmSpec("control", 0.5)
CHALLENGER = ArmSpec("challenger", 0.5, "1.1.0")
WON = StoredVerdict("promote", "the challenger is better", "challenger", look=3)


def a_definition(name: str = "fast", design: Design = "split", **others: Any) -> Definition:
    one = Definition(name, design, (CONTROL, CHALLENGER), looks=4, duration="28d")
    return replace(one, **others)


def a_ramp(name: str = "slow", **others: Any) -> Definition:
    return a_definition(name, "ramp", steps=(0.01, 0.05, 0.25, 0.5), **others)


def an_experiment(one: Definition | None = None, **others: Any) -> StoredExperiment:
    stored = StoredExperiment(
        a_definition() if one is None else one,
        status="running",
        control="1.0.0",
        started_ms=NOW_MS - 20 * DAY_MS,
        changed_ms=NOW_MS,
        who="ada",
        why="because",
    )
    return replace(stored, **others)


def a_look(
    number: int = 1, experiment: str = "fast@1", *, arm: str = "challenger", **others: Any
) -> LookReport:
    """A look at which the challenger loses a little less each time."""
    share, z = number / 4, -0.75 * number
    estimate, half = -0.4 * number, 4.5 / number
    compared = [
        ComparedMetric(
            "fraud_loss", arm, 10.0 + estimate, 10.0, estimate, (estimate - half, estimate + half)
        ),
        ComparedMetric("alert_rate", arm, 0.0213, 0.02, 0.0013, (-0.0004, 0.003), p=0.21),
        ComparedMetric("recall", arm, None, 0.5, None),
    ]
    boundary = (4.33, 2.96, 2.36, 2.01)[number - 1]
    look = LookReport(
        experiment,
        number,
        share,
        NOW_MS - (4 - number) * 7 * DAY_MS,
        accounts={"control": 1_000 * number, arm: 1_012 * number},
        transactions={"control": 9_000 * number, arm: 9_100 * number},
        planned=[PlannedLook(arm, share, estimate, z, boundary)],
        compared=compared,
        sample_ratio=0.31,
        notes=["what is younger than 21 days does not count"],
    )
    return replace(look, **others)


SHADOW = {
    "better_count": 40.0,
    "worse_count": 21.0,
    "accounts": (38, 20),
    "log_e_better": 2.3,
    "log_e_worse": -1.4,
    "money": {"total": 123_456.0, "squares": 1e9, "account_count": 58},
    "blind_count": 7.0,
    "immature_count": 3,
    "transactions": 50_000,
    "alerts": 1_000,
    "in_common": 690,
}


async def fill(store: ExperimentStore) -> None:
    """Three that run, one of them with looks; a shadow; one that waits; one that is over."""
    for number in range(3):
        found = await store.experiment("fast")
        stored = an_experiment(look=number + 1)
        assert await store.put(found, stored, look=a_look(number + 1))
    shadow = a_definition("beside", "shadow", arms=(replace(CONTROL, share=1.0), CHALLENGER))
    looked = a_look(1, shadow.id, shadow=SHADOW, compared=[], sample_ratio=None)
    assert await store.put(None, an_experiment(shadow, look=1), look=looked)
    cuts = replace(CHALLENGER, version="", policy={"review_min": 0.1})
    policy = a_definition("cuts", arms=(CONTROL, cuts), layer="policy")
    for one in (
        an_experiment(a_ramp(), step=1),
        an_experiment(policy, status="waiting", verdict=WON, look=3),
        an_experiment(
            a_definition("old", segments={"kind": ("a", "b")}),
            status="ended",
            verdict=StoredVerdict("stopped", "it was a trial"),
            why="it was a trial",
        ),
    ):
        assert await store.put(None, one)
