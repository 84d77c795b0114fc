"""The figures of the labels benchmark: what Sentinel made of the play, against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy.special import ndtri

from benchmarks.consensus import quality
from benchmarks.harness import print_table
from benchmarks.label_play import CARELESS, CHARGEBACKS, FALLEN_SKILL, FALLING, Play
from benchmarks.label_quality import (
    accuracy,
    corrections,
    coverage,
    first_labels,
    fraud_share_of_votes,
    horizon_days,
    label_frame,
    newest_labels,
    worth,
)
from sentinel.core.consensus.batch.dawid_skene import fit
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.learning.maturity import MaturityParams
from sentinel.records import Floats, Label
from sentinel.simulation.chargebacks import DAY_MS, delays_ms

MATURITY = MaturityParams()
# From the collapse on; what was done on a day is voted on in the small hours of the next, so that
# day 0 still shows the time before.
SHOWN_DAYS = (0, 1, 3, 7, 14, 30)


class KnownSkill(NamedTuple):
    """An investigator as Sentinel knows them at the end of a day, in days since 1970."""

    day: int
    name: str
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What Sentinel made of it.

    Attributes
    ----------
    by_votes
        float64 (n_tasks,): the posterior of each checked transaction when its votes were counted;
        not a number for those charged back by then.
    skills
        Of every investigator, at the end of each day of feedback.
    case_differs_count
        Cases in the store with another label than their newest in the topic.
    """

    labels: list[Label]
    by_votes: Floats
    skills: list[KnownSkill]
    case_count: int
    case_differs_count: int


def judged(play: Play, heard: Heard) -> dict[str, Any]:
    """All figures; those of one table by its rows."""
    scored = play.scored
    row_of = {name: row for row, name in enumerate(scored.transaction_id)}
    labels = label_frame(heard.labels, row_of)
    return {
        "transactions": len(scored.transaction_id),
        "votes": len(play.votes),
        "chargebacks": len(play.voices) - len(play.votes),
        "cases": heard.case_count,
        "cases_unlike_their_label": heard.case_differs_count,
        "labels": worth_by_source(play, labels),
        "coverage": {
            window: coverage(newest_labels(labels), scored.is_fraud, play.checked, within)
            for window, within in play.windows().items()
        },
        "votes_alone": votes_alone(play, heard.by_votes),
        "corrections": corrections(labels, scored.is_fraud),
        "skills": skills_known(play, heard.skills),
        "horizon_days": horizons(play, labels),
        "horizon_days_true": true_horizon_days(),
    }


def worth_by_source(play: Play, labels: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Of the first labels and of those that hold, by who settled them, and when it happened."""
    scored = play.scored
    found = {}
    for when, chosen in (("first", first_labels(labels)), ("newest", newest_labels(labels))):
        for source in ("investigator", "chargeback"):
            for window, within in play.windows().items():
                is_meant = (chosen["source"] == source).to_numpy() & within[chosen["row"]]
                found[f"{when}, {source}, {window}"] = worth(
                    chosen.filter(is_meant), scored.is_fraud, scored.event_time_ms
                )
    return found


def votes_alone(play: Play, by_votes: Floats) -> dict[str, dict[str, Any]]:
    """Accuracy at one half on what was checked, from the same votes, before any chargeback."""
    truth = play.scored.is_fraud[play.checked]
    ways = {
        "Sentinel, vote by vote": by_votes,
        "Sentinel, all votes at once": fit(play.votes, ConsensusParams()).posterior,
        "majority": fraud_share_of_votes(play.votes),
    }
    found = {}
    for window, within in play.windows().items():
        chosen = within[play.checked] & ~np.isnan(by_votes)
        for way, posterior in ways.items():
            error = quality(posterior[chosen], truth[chosen])["calibration_error"]
            found[f"{way}, {window}"] = {
                "checked": int(chosen.sum()),
                "accuracy": accuracy(posterior[chosen], truth[chosen]),
                "calibration_error": error,
            }
    return found


def skills_known(play: Play, known: Sequence[KnownSkill]) -> dict[str, dict[str, Any]]:
    """What Sentinel knew of the one who falls and of the careless one, beside what is so."""
    by_day = {(one.day, one.name): one for one in known}
    middle, end = play.middle_ms // DAY_MS, play.end_ms // DAY_MS
    found = {}
    for who, title in ((FALLING, "falling"), (CARELESS, "careless")):
        for since in sorted({*SHOWN_DAYS, end - middle}):
            one = by_day.get((middle + since, f"investigator/i{who}"))
            if one is None:
                continue
            has_fallen = who == FALLING and since > 0
            skills = play.team.sensitivity[who], play.team.specificity[who]
            sensitivity, specificity = (FALLEN_SKILL if has_fallen else float(x) for x in skills)
            found[f"{title}, {since:+}"] = {
                "sensitivity": sensitivity,
                "known_sensitivity": one.sensitivity,
                "specificity": specificity,
                "known_specificity": one.specificity,
            }
    return found


def horizons(play: Play, labels: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """When silence would mean "genuine", as learnt by the middle and by the end of the stream."""
    return {
        name: horizon_days(labels, play.scored.event_time_ms, now_ms, MATURITY)
        for name, now_ms in (("by the middle", play.middle_ms), ("by the end", play.end_ms))
    }


def true_horizon_days() -> float:
    """Within how many days the share that the horizon must cover is charged back."""
    return float(delays_ms(np.array([ndtri(MATURITY.coverage)]), CHARGEBACKS)[0] / DAY_MS)


def show(figures: dict[str, Any], about: str) -> None:
    """Everything as tables."""
    print(
        f"\n{figures['votes']:,} votes and {figures['chargebacks']:,} chargebacks on "
        f"{figures['transactions']:,} transactions\n  {about}\n  {figures['cases']:,} cases, "
        f"{figures['cases_unlike_their_label']} of them unlike their newest label in the topic"
    )
    names = {
        "count": "count",
        "accuracy": "accuracy",
        "calibration_error": "calibration error",
        "delay_median_days": "delay p50",
        "delay_p90_days": "p90, days",
    }
    _print("labels", names, figures["labels"])
    columns = next(iter(figures["coverage"].values()))
    names = {key: key.replace("_", " ") for key in columns}
    _print("of transactions", names, figures["coverage"])
    names = {"checked": "checked", "accuracy": "accuracy", "calibration_error": "calibration error"}
    _print("votes alone", names, figures["votes_alone"])
    _print("label superseded", {"count": "count", "right": "rightly"}, figures["corrections"])
    names = {
        "sensitivity": "sensitivity",
        "known_sensitivity": "known",
        "specificity": "specificity",
        "known_specificity": "known",
    }
    _print("days from the collapse", names, figures["skills"])
    names = {
        "labels": "labels",
        "estimated": "estimated",
        "unlimited": "unlimited",
        "plain": "plain, days",
    }
    _print("99 % of chargebacks within", names, figures["horizon_days"])
    print(f"  in truth {figures['horizon_days_true']:.1f} days")


def _print(title: str, names: dict[str, str], rows: dict[str, dict[str, Any]]) -> None:
    print()
    print_table(
        (title, *names.values()),
        [[row, *(_shown(found.get(key)) for key in names)] for row, found in rows.items()],
    )


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
