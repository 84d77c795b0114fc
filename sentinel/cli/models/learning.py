"""How an update stands and what the next one waits for, in words: in the view and in a command."""

from collections.abc import Sequence

from sentinel.core.learning.awaiting import Awaited, about, longest_wait_s
from sentinel.engine.registry.lifecycle import Answer, Judgement, Update, UpdateState
from sentinel.engine.updates.awaiting import Outlook
from sentinel.operations.models.updates import UpdateStatus

# Of an update that is under way.
_STEPS: dict[UpdateState, str] = {
    "idle": "",
    "training": "candidates are made and judged",
    "made": "its candidate is on its way into the registry",
    "waiting": "its candidate waits for `sentinel models approve`",
    "rolling": "its candidate is rolled out: `sentinel rollouts show` says how far it is",
    "promoting": "its candidate is on its way to serve",
    "watching": "its candidate serves, and is watched",
}
_VERDICTS = {
    "promote": "promoted",
    "refuse": "refused",
    "not_yet": "not yet",
    "no candidate": "no candidate",
}
_NOTHING = "nothing that can be counted"
_FRESH_S = 120.0
_STATUS = {"passed": "passed", "failed": "failed", "too_little": "too little to tell"}


def headline(update: Update) -> str:
    """Which update it is, why it was begun, and its step or what it came to."""
    words = f"update {update.number} ({update.trigger}: {update.reason})"
    if step := _STEPS[update.state]:
        candidate = f" {update.version}" if update.version else ""
        return f"{words}: {step.replace('its candidate', f'its candidate{candidate}')}"
    if update.judgement is None:
        return f"{words}: {update.outcome}"
    return f"{words}: {verdict_sentence(update.judgement)}"


def is_at_work(update: Update | None) -> bool:
    """Whether one is under way, and what the next one waits for is not looked at meanwhile."""
    return update is not None and update.state in ("training", "made", "promoting")


def verdict_sentence(judgement: Judgement) -> str:
    """The gate's word and what decided, in a sentence."""
    return f"{_VERDICTS.get(judgement.outcome, judgement.outcome)}. {judgement.reason}"


def tally(answers: Sequence[Answer]) -> str:
    """How the checks of the gate came out; empty if there were none."""
    counts = {status: [a.name for a in answers if a.status == status] for status in _STATUS}
    return "; ".join(
        f"{len(names)} checks passed"
        if status == "passed"
        else f"{_STATUS[status]}: {', '.join(names)}"
        for status, names in counts.items()
        if names
    )


def answer_lines(judgement: Judgement) -> list[tuple[str, str, str]]:
    """Of every check of the gate: its name, how it came out, and why."""
    return [(one.name, _STATUS[one.status], one.sentence) for one in judgement.answers]


def try_lines(judgement: Judgement) -> list[tuple[str, str]]:
    """What came of every strategy that was tried."""
    return [
        (
            one.strategy,
            one.reason
            or f"average precision {_number(one.average_precision)}, made in {one.seconds:.1f} s",
        )
        for one in judgement.tries
    ]


def awaited_lines(outlook: Outlook) -> list[str]:
    """What the next update waits for; one line if it waits for nothing."""
    waits = _waits(outlook)
    lines = [one.sentence for one in waits]
    lines += [one.sentence for one in outlook.to_judge if not one.is_required]
    if not waits:
        lines.insert(0, f"{_NOTHING}: it begins when it is due, or by `sentinel update now`")
    return lines


def awaited_summary(outlook: Outlook) -> str:
    """The same in one line, for where there is little room."""
    waits = _waits(outlook)
    if not waits:
        return _NOTHING
    wait_s = longest_wait_s(waits)
    first = max(waits, key=lambda one: float("inf") if one.wait_s is None else one.wait_s)
    more = f" (and {len(waits) - 1} more)" if len(waits) > 1 else ""
    wait = "no pace to estimate by" if wait_s is None else about(wait_s)
    return f"{first.count:,} of {first.needed:,} {first.what}{more}, {wait}"


def _waits(outlook: Outlook) -> list[Awaited]:
    """What the next update cannot begin without."""
    return [*(one for one in outlook.to_judge if one.is_required), *outlook.to_begin]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def status_lines(update_status: UpdateStatus, now_ms: int) -> list[str]:
    """All that is known of the newest update and of the next, for a terminal."""
    update, lines = update_status.update, []
    if update is None or not update.number:
        lines.append("there was no update yet")
    else:
        lines += _update_lines(update)
    if update_status.outlook is not None and not is_at_work(update):
        age_s = max(now_ms - update_status.outlook.at_ms, 0) / 1000
        old = f" (as of {about(age_s)} ago: is any instance training?)" if age_s > _FRESH_S else ""
        lines.append(f"the next one waits for{old}")
        lines += [f"  {line}" for line in awaited_lines(update_status.outlook)]
    return lines


def _update_lines(update: Update) -> list[str]:
    lines = [headline(update)]
    if update.version:
        lines.append(f"candidate {update.version}, after {update.champion}")
    if update.outcome and (update.judgement is None or update.outcome != update.judgement.reason):
        lines.append(update.outcome)
    if (said := update.judgement) is not None:
        lines += [f"  tried {name}: {what}" for name, what in try_lines(said)]
        lines += [f"  {status}: {name}: {why}" for name, status, why in answer_lines(said)]
    if update.former:
        lines.append(f"before: {update.former}")
    return lines
