"""How history is cut: what is refused."""

import pytest

from sentinel.core.learning.params import FitParams, TrainingParams


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tree_count": 0}, r"tree_count must be in 1\.\.10000, got 0"),
        ({"leaf_count_max": 1}, "leaf_count_max must be in"),
        ({"leaf_row_count_min": 0}, "leaf_row_count_min must be in"),
        ({"depth_max": -1}, "depth_max must be in"),
        ({"leaf_hessian_min": -0.1}, "leaf_hessian_min must be in"),
        ({"lambda_l2": -1.0}, "lambda_l2 must be in"),
        ({"bin_count_max": 1}, "bin_count_max must be in"),
        ({"seed": -1}, "seed must be in"),
        ({"learning_rate": 0.0}, r"learning_rate must be in \(0, 1\]"),
        ({"feature_share": 1.1}, r"feature_share must be in \(0, 1\]"),
        ({"row_share": float("nan")}, r"row_share must be in \(0, 1\]"),
    ],
)
def test_a_fit_that_cannot_work_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitParams(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_delay": "soon"}, 'duration "soon" must be a whole number and one of s, m, h'),
        ({"warmup": "-1d"}, 'duration "-1d"'),
        ({"test": "0d"}, "calibration and test must be longer than nothing"),
        ({"cards_checked": 0}, "cards_checked must be at least 1"),
    ],
)
def test_a_cut_that_cannot_work_is_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingParams(**values)  # type: ignore[arg-type]
