"""`sentinel why`: what it says of a decision in its first line."""

from sentinel.cli.inspection.story import decision_line, label_line
from tests.app.test_archive import decision


def row(**others: object) -> dict[str, object]:
    """A decision as it comes from the archive."""
    return decision(3) | {"degraded": ""} | others


def test_the_first_line_says_what_was_decided_and_by_which_model() -> None:
    told = decision_line(row(action="block", severity="high"))

    assert told.startswith("t3 of 2025-06-15")
    assert "account a0: block (high), probability 0.2500, score 0.1000, by model 1.0.0" in told
    assert told.endswith("decision transactions-0-3")


def test_what_was_out_of_the_ordinary_is_told_as_well() -> None:
    told = decision_line(row(degraded="late", action="review", explored=True, explore_share=0.01))

    assert told.endswith(
        ", degraded: late, explored: a share of 0.01 of such blocks is reviewed instead"
    )


def test_a_file_of_before_there_was_exploration_can_be_told_of() -> None:
    before = {k: v for k, v in row().items() if k not in ("explored", "explore_share")}

    assert (
        decision_line(before)
        == decision_line(row(explored=False))
        == decision_line(row(explored=None))
    )


def test_a_label_that_was_withdrawn_is_told_as_that() -> None:
    label = {
        "label": "withdrawn", "posterior": 0.25, "observed_ms": 1_788_256_800_000, "vote_count": 2,
        "source": "chargeback", "supersedes": "fraud",
    }  # fmt: skip

    assert label_line(label) == (
        "label withdrawn (0.250) of 2026-09-01 10:00:00, 2 votes, withdrawn by chargeback, "
        "before it was fraud"
    )
