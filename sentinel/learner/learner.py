"""What runs in the trainer's process: holds the examples, makes a model update and judges it.

It reads no file and waits for nobody; what it gives is the same for the same examples, in whatever
batches they came, but for how long it took.
"""

from collections.abc import Sequence

import numpy as np

from sentinel.core.decision import PolicyParams
from sentinel.core.learning.awaiting import Need
from sentinel.core.learning.gate.judging import Verdict, judge, judge_recalibration
from sentinel.core.learning.training_data.columns import Columns
from sentinel.core.learning.training_data.hold_out import is_held_out
from sentinel.core.learning.training_data.window import gate_begin_ms
from sentinel.learner.attempts import Attempts, Material, attempted, best, measured
from sentinel.learner.candidates import Candidate
from sentinel.learner.comparison import Compared, compared
from sentinel.learner.manifests import (
    JudgedCandidate,
    Lineage,
    candidate_model,
    inherited,
    lineage,
    manifest,
)
from sentinel.learner.needs import needs
from sentinel.learner.params import LearningParams
from sentinel.learner.trainer_state import TrainerState
from sentinel.ports import Attempt, Made, Saved, Taken, Updated
from sentinel.serving_model import ServingModel, serving_model
from sentinel.stored.versions import Artifact

# It has no new trees, and a criterion of its own.
_CHEAPEST = "recalibrate"


class Learner:
    """The examples that are needed, and what is made of them.

    Parameters
    ----------
    features
        Their names, in the order in which a model has them.
    policy
        From a probability to an action.
    """

    def __init__(
        self, features: Sequence[str], policy: PolicyParams, params: LearningParams
    ) -> None:
        self._features = tuple(features)
        self._policy = policy
        self._params = params
        self._state = TrainerState(features, params)
        self._pieces: list[bytes] = []  # of a savepoint on its way out or in

    def take(self, records: Sequence[tuple[int, int, bytes | None]]) -> Taken:
        """Records of the examples topic, in its order: offset, when it was appended, value."""
        count, refused_count = self._state.take(records)
        return Taken(count, refused_count, self._state.newest_ms, self._state.next_offset)

    def forget(self) -> None:
        """Hold nothing, as in the beginning."""
        self._state = TrainerState(self._features, self._params)

    def save(self, *, log: str) -> Saved:
        """Make a savepoint of all that is held; `log` names the log that the examples are of."""
        encoded = self._state.saved(log=log)
        self._pieces = encoded.pieces
        byte_count = len(encoded.head) + sum(map(len, encoded.pieces))
        return Saved(encoded.head, encoded.sha256, len(encoded.pieces), byte_count)

    def piece(self, number: int) -> bytes:
        """One piece of what was saved last; once."""
        piece, self._pieces[number] = self._pieces[number], b""
        return piece

    def receive(self, number: int, piece: bytes) -> None:
        """The next piece of what is to be restored; the first has the number 0."""
        if number == 0:
            self._pieces = []
        assert number == len(self._pieces)
        self._pieces.append(piece)

    def restore(self, head: bytes, sha256: str, *, log: str) -> Taken:
        """Hold what the pieces say instead of what is held. Raises RecordError if it cannot be."""
        pieces, self._pieces = self._pieces, []
        self._state.restore(head, sha256, pieces, log=log)
        return Taken(0, 0, self._state.newest_ms, self._state.next_offset)

    def needs(self, champion: Artifact) -> tuple[Need, ...]:
        """What an update needs, and how much of it is here; of the champion the manifest is read.

        Raises ModelError if that makes no sense.
        """
        rows, since = self._state.mature(), lineage(champion, self._params.old_share)
        begin_ms = self._gate_begin_ms(rows, since.trained_until_ms)
        held_out = self._state.held_out()
        return needs(rows, held_out, since, self._params, gate_begin_ms=begin_ms)

    def update(
        self, champion: Artifact, *, draw: int, policy: PolicyParams | None = None
    ) -> Updated:
        """Make candidates and judge the best of them.

        A recalibration is judged by a criterion of its own, and if it is what is needed, nothing
        else is tried. Of the others that one alone is judged which is best on older examples: the
        gate's rate of false promotions holds for one look. Raises ModelError if the champion cannot
        be used.

        Parameters
        ----------
        draw
            A number for each update, in 0..2**32 - 1: another one replays other rows.
        policy
            By which is judged from now on; None for the one before.
        """
        self._policy = policy or self._policy
        serving = serving_model(champion, self._features)
        since = lineage(champion, self._params.old_share)
        rows = self._state.mature()
        begin_ms = self._gate_begin_ms(rows, since.trained_until_ms)
        if begin_ms is None:
            return _nothing(
                f"too few mature examples to judge by that the champion has not seen, at least "
                f"{self._params.gate.example_count_min:,} are needed"
            )
        is_gate = rows.examples.event_time_ms >= begin_ms
        gate, before = rows.take(is_gate), rows.take(~is_gate)
        if reason := self._lack(gate):
            return _nothing(reason)
        ours = ~is_held_out(before.examples.id_hash, self._params.old_share)
        material = Material(
            champion,
            serving,
            since.trained_until_ms,
            before.take(ours),
            self._state.memory(),
            self._features,
            draw,
        )
        return self._best_of(material, before, gate)

    def compare(
        self,
        former: Artifact,
        champion: Artifact,
        *,
        since_ms: int,
        policy: PolicyParams | None = None,
    ) -> Verdict | None:
        """Whether the former champion is better on what has happened since; None of too little.

        Only what is mature counts, as in an update: what has a label before is what the champion
        itself brought to an investigator's desk. Raises ModelError if one of them cannot be used.
        """
        self._policy = policy or self._policy
        was, now = (serving_model(one, self._features) for one in (former, champion))
        lines = [lineage(one, self._params.old_share) for one in (former, champion)]
        begin_ms = max(since_ms, *(line.trained_until_ms for line in lines))
        rows = self._state.mature()
        recent = rows.take(rows.examples.event_time_ms >= begin_ms)
        if len(recent) < self._params.gate.example_count_min or self._lack(recent):
            return None
        found = self._compared(now, was, recent, lines)
        return judge(found.evidence, self._params.gate)

    def _gate_begin_ms(self, rows: Columns, since_ms: int) -> int | None:
        return gate_begin_ms(
            rows,
            since_ms=since_ms,
            fraud_count=self._params.gate_fraud_count,
            row_count_min=self._params.gate.example_count_min,
            share_max=self._params.gate_share_max,
        )

    def _lack(self, rows: Columns) -> str:
        """What there is too little of to judge by; empty if there is enough."""
        lowest = self._params.gate.fraud_count_min
        is_fraud = rows.examples.is_fraud & ~rows.is_selective
        count = np.unique(rows.group[is_fraud]).size
        if count < lowest:
            return f"{count} frauds of different accounts to judge by, {lowest} are needed"
        return "" if not rows.examples.is_fraud.all() else "nothing genuine to judge by"

    def _best_of(self, material: Material, before: Columns, gate: Columns) -> Updated:
        """A recalibration if that is what is needed, else the best of the other candidates."""
        cheapest, rest = (
            [name for name in self._params.strategies if (name == _CHEAPEST) == is_wanted]
            for is_wanted in (True, False)
        )
        first = self._measured(cheapest, material, before)
        repair = first.candidates.get(_CHEAPEST)
        judged = None if repair is None else self._judged(repair, material, gate)
        if judged is not None and judged.verdict.outcome == "promote":
            return self._updated(first.attempts, judged, material)
        others = self._measured(rest, material, before)
        attempts = first.attempts + others.attempts
        chosen = best(others)
        if chosen is None:
            verdict = None if judged is None else judged.verdict
            return Updated(attempts, None, verdict, _why_none(attempts, verdict))
        return self._updated(attempts, self._judged(chosen, material, gate), material)

    def _measured(self, strategies: Sequence[str], material: Material, before: Columns) -> Attempts:
        return measured(attempted(strategies, material, self._params.candidates), before)

    def _judged(self, candidate: Candidate, material: Material, gate: Columns) -> JudgedCandidate:
        model = candidate_model(candidate, material.rows)
        parent = lineage(material.champion, self._params.old_share)
        lines = (parent, inherited(candidate, parent))
        found = self._compared(material.serving, model, gate, lines)
        if candidate.strategy == _CHEAPEST:
            verdict = judge_recalibration(
                found.evidence, found.champion_probability, self._params.gate
            )
        else:
            verdict = judge(found.evidence, self._params.gate)
        return JudgedCandidate(candidate, model, found, verdict)

    def _compared(
        self,
        champion: ServingModel,
        challenger: ServingModel,
        recent: Columns,
        lines: Sequence[Lineage],
    ) -> Compared:
        """Both on the recent examples, and on those of before that neither has been trained on."""
        since_ms = max(line.held_out_since_ms for line in lines)
        old = self._state.held_out().between(since_ms, int(recent.examples.event_time_ms[0]))
        return compared(champion, challenger, recent, old, self._policy)

    def _updated(
        self, attempts: tuple[Attempt, ...], judged: JudgedCandidate, material: Material
    ) -> Updated:
        old_share, params = self._params.old_share, self._params.candidates
        candidate = judged.candidate
        told = manifest(judged, material, params, old_share=old_share)
        reason = f"{candidate.strategy}: {_why(judged.verdict)}"
        made = Made(candidate.strategy, candidate.text, told)
        return Updated(attempts, made, judged.verdict, reason)


def _nothing(reason: str) -> Updated:
    return Updated((), None, None, reason)


def _why_none(attempts: Sequence[Attempt], verdict: Verdict | None) -> str:
    reasons = [f"{one.strategy}: {one.reason}" for one in attempts if one.reason]
    if verdict is not None:
        reasons = [f"{_CHEAPEST}: {_why(verdict)}", *reasons]
    return f"there is no candidate: {'; '.join(reasons)}"


def _why(verdict: Verdict) -> str:
    """What decided, in a sentence."""
    if verdict.outcome == "promote":
        [check] = [one for one in verdict.checks if one.name in ("improvement", "repair")]
        return check.sentence
    status = "failed" if verdict.outcome == "refuse" else "too_little"
    return "; ".join(
        f"{check.name}: {check.sentence}"
        for check in verdict.checks
        if check.status == status and check.is_required
    )
