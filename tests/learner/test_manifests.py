"""Until when a model has seen what, by its manifest."""

from typing import Any

import pytest

from sentinel.errors import ModelError
from sentinel.learner.manifests import Lineage, lineage
from sentinel.stored.versions import Artifact


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        ({}, Lineage(0, 0)),
        ({"window": {"train": {"last_ms": 7}}}, Lineage(8, 8)),
        ({"window": {"train": {"last_ms": 7}}, "trained_until_ms": 5}, Lineage(5, 5)),
        ({"trained_until_ms": 5, "hold_out": {"share": 0.1, "since_ms": 2}}, Lineage(5, 2)),
        ({"trained_until_ms": 5, "hold_out": {"share": 0.2, "since_ms": 0}}, Lineage(5, 0)),
        ({"trained_until_ms": 5, "hold_out": {"share": 0.05, "since_ms": 2}}, Lineage(5, 5)),
    ],
    ids=str,
)
def test_what_no_manifest_says_was_held_out_may_have_been_seen(
    manifest: dict[str, Any], found: Lineage
) -> None:
    assert lineage(Artifact("1.0.0", "", manifest), 0.1) == found


@pytest.mark.parametrize(
    "manifest",
    [
        {"window": None},
        {"window": {"train": {"last_ms": None}}},
        {"trained_until_ms": "soon"},
        {"hold_out": {"share": 0.1}},
        {"hold_out": {"share": None, "since_ms": 1}},
        {"hold_out": []},
    ],
    ids=str,
)
def test_a_manifest_that_makes_no_sense_is_an_error(manifest: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="unusable manifest"):
        lineage(Artifact("1.0.0", "", manifest), 0.1)
