"""What keeps the next step of a rollout, if anything does."""

from dataclasses import dataclass

from sentinel.core.rollouts.params import RolloutParams
from sentinel.stored.rollouts import CHAMPION, StoredRollout

PAUSED = "rollouts are paused: `sentinel resume rollouts` has them go on"


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps it, in a sentence.

    Attributes
    ----------
    needs_person
        Whether only a person can change that.
    until_ms
        When it ends by itself, epoch milliseconds of the clock; None where that is not known.
    """

    why: str
    needs_person: bool = False
    until_ms: int | None = None


def hold_of(
    one: StoredRollout,
    params: RolloutParams,
    *,
    now_ms: int,
    is_paused: bool,
    failed_ms: int | None,
    quiet_to_ms: int | None,
) -> Hold | None:
    """What keeps the next step; None where nothing does.

    Parameters
    ----------
    failed_ms
        When the rollout before this one ended, if that was not well; None else.
    quiet_to_ms
        When the quiet hours of now end; None where there are none.
    """
    place = one.next_place
    if is_paused:
        return Hold(PAUSED, needs_person=True)
    if place in params.approve and place not in one.approvals:
        what = "it may serve" if place == CHAMPION else f"its {place} may begin"
        return Hold(f"a person has to agree before {what}: `sentinel rollouts approve`", True)
    if one.is_urgent:
        return None
    if one.place == 0 and failed_ms is not None:
        until_ms = failed_ms + round(params.cooldown_s * 1000)
        if now_ms < until_ms:
            return Hold("the rollout before it did not end well: it cools down", False, until_ms)
    if quiet_to_ms is not None:
        words = f"quiet hours, {params.quiet_hours} {params.quiet_zone}"
        return Hold(words, False, quiet_to_ms)
    return None


def is_given_up(one: StoredRollout, params: RolloutParams, *, now_ms: int) -> bool:
    """Whether it has waited for a person for longer than it may; a pause is no such wait."""
    is_waiting = one.status == "waiting" and one.needs_person and one.waits_for != PAUSED
    return is_waiting and now_ms - one.since_ms > params.wait_s_max * 1000
