"""Rollouts in words, for a terminal."""

from sentinel.cli.texts import age_text
from sentinel.codec.times import date_text
from sentinel.stored.rollouts import CHAMPION, PassedStep, StoredRollout

_ENDS = {
    "served": "it serves",
    "refused": "refused",
    "aborted": "aborted",
    "rolled_back": "rolled back",
}


def rollout_line(one: StoredRollout, now_ms: int) -> str:
    """Which it is, and how it stands, in a line."""
    return f"rollout {one.number} of version {one.version}: {standing_text(one, now_ms)}"


def standing_text(one: StoredRollout, now_ms: int) -> str:
    """How it stands, and what it waits for."""
    since = age_text(now_ms - one.since_ms)
    match one.status:
        case "running":
            return f"{step_place(one)} for {since}, judged by experiment {one.experiment}"
        case "waiting":
            until = ""
            if one.waits_until_ms is not None:
                until = f", until {date_text(one.waits_until_ms)[:16]} UTC"
            why = one.waits_for or "it goes on with the next step"
            return f"before {step_place(one)} for {since}: {why}{until}"
        case "promoting":
            return "on its way to serve"
        case "watching":
            return f"it serves for {since}, and is watched"
        case _:
            return f"{_ENDS[one.status]} {since} ago: {one.why}"


def step_place(one: StoredRollout) -> str:
    """The step that runs or comes next, and of how many."""
    if one.next_place == CHAMPION:
        return "the champion's place"
    return f"{one.next_place}, step {one.place + 1} of {len(one.steps)},"


def rollout_lines(one: StoredRollout, now_ms: int) -> list[str]:
    """All that is known of one."""
    urgent = ", urgent" if one.is_urgent else ""
    steps = " → ".join([*one.steps, CHAMPION])
    return [
        rollout_line(one, now_ms),
        f"begun {date_text(one.begun_ms)} UTC ({one.trigger}{urgent}: {one.reason})",
        f"compared with version {one.champion}",
        f"its way: {steps}",
        *(_passed_line(done) for done in one.passed),
        *(
            f"agreed to: {place}, by {approval.who}, {date_text(approval.at_ms)} UTC"
            for place, approval in one.approvals.items()
        ),
        f"last change: {date_text(one.changed_ms)} UTC, {one.who}: {one.why}",
    ]


def _passed_line(done: PassedStep) -> str:
    took = age_text(done.ended_ms - done.began_ms)
    return f"{done.step} passed in {took} by {done.experiment}: {done.why}"
