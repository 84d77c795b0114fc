"""Many cases judged at once: copies are found, and what was settled too early."""

from dataclasses import replace

import numpy as np
import pytest

from sentinel.core.consensus.batch.refit import refit
from sentinel.core.consensus.params import ConsensusParams
from sentinel.stored.votes import Case, Vote

PARAMS = ConsensusParams()
TRUSTED = ("chargeback",)


def cases_of(seed: int, *, count: int = 200) -> list[Case]:
    """Four who think for themselves, and three who copy the first of them; some banks' words."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        is_fraud = bool(rng.random() < 0.3)
        said = {f"i/{who}": bool(rng.random() < 0.85) == is_fraud for who in "abcd"}
        said |= {f"i/copy{n}": said["i/a"] for n in range(3)}
        if rng.random() < 0.2:
            said["chargeback/bank"] = is_fraud
        votes = tuple(
            Vote(name, "fraud" if says else "genuine", 0, 1.0, 1_000 + number, offset)
            for offset, (name, says) in enumerate(said.items())
        )
        label = "fraud" if is_fraud else "genuine"
        found.append(Case(f"t{number}", 500, {"account": "x"}, votes, 0.5, label))  # type: ignore[arg-type]
    return found


def test_those_who_copy_are_one_group_and_the_others_none() -> None:
    found = refit(cases_of(3), TRUSTED, PARAMS)

    group = found.groups["i/a"]
    assert group
    assert {name for name, one in found.groups.items() if one == group} == {
        "i/a",
        "i/copy0",
        "i/copy1",
        "i/copy2",
    }
    assert {found.groups[f"i/{who}"] for who in "bcd"} == {""}
    assert "chargeback/bank" not in found.groups


def test_the_order_of_cases_and_votes_changes_nothing() -> None:
    cases = cases_of(4)
    rng = np.random.default_rng(1)
    shuffled = [
        replace(case, votes=tuple(case.votes[i] for i in rng.permutation(len(case.votes))))
        for case in (cases[i] for i in rng.permutation(len(cases)))
    ]

    one, other = (refit(found, TRUSTED, PARAMS) for found in (cases, shuffled))

    assert one.groups == other.groups
    assert set(one.doubtful) == set(other.doubtful)


def test_a_label_that_all_votes_together_contradict_is_doubtful() -> None:
    cases = [case for case in cases_of(5) if not any("bank" in v.annotator for v in case.votes)]
    before = set(refit(cases, TRUSTED, PARAMS).doubtful)
    right = next(
        case
        for case in cases
        if case.transaction_id not in before and len({v.label for v in case.votes}) == 1
    )
    wrong = replace(right, label="genuine" if right.label == "fraud" else "fraud")
    changed = [wrong if case is right else case for case in cases]

    assert set(refit(changed, TRUSTED, PARAMS).doubtful) == before | {right.transaction_id}


@pytest.mark.parametrize("label", ["unsure", "retracted"])
def test_nothing_is_found_where_nobody_says_anything(label: str) -> None:
    vote = Vote("i/a", label, 0, 1.0, 1_000, 0)
    found = refit([Case("t", 500, {"account": "x"}, (vote,))], TRUSTED, PARAMS)

    assert (found.groups, found.doubtful) == ({}, [])
    assert refit([], TRUSTED, PARAMS) == found
