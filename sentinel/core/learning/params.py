"""How a model is trained from history."""

from dataclasses import dataclass, field

from sentinel.core.features.spec import duration_ms


@dataclass(frozen=True, slots=True)
class FitParams:
    """How a model is fitted; the defaults suit rare fraud in some hundred thousand rows."""

    tree_count: int = 200
    leaf_count_max: int = 31  # above 64 our kernel does not score the model, LightGBM does
    depth_max: int = 0  # of a tree; 0: as deep as its leaves allow
    learning_rate: float = 0.05
    leaf_row_count_min: int = 20
    # Sum of p * (1 - p) over a leaf's rows, at least: what keeps leaves of a few certain rows away.
    leaf_hessian_min: float = 1e-3
    lambda_l2: float = 1.0
    # Shares drawn for each tree: correlated features of one entity take turns.
    feature_share: float = 0.8
    row_share: float = 0.8
    bin_count_max: int = 255
    boost_from_average: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check_range("tree_count", self.tree_count, 1, 10_000)
        _check_range("leaf_count_max", self.leaf_count_max, 2, 4096)
        _check_range("depth_max", self.depth_max, 0, 100)
        _check_range("leaf_hessian_min", self.leaf_hessian_min, 0, 1e6)
        _check_range("leaf_row_count_min", self.leaf_row_count_min, 1, 1_000_000)
        _check_range("lambda_l2", self.lambda_l2, 0, 1e6)
        _check_range("bin_count_max", self.bin_count_max, 2, 65_535)
        _check_range("seed", self.seed, 0, 2**31 - 1)
        for name in ("learning_rate", "feature_share", "row_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class TrainingParams:
    """How history is cut: first the state warms up, then training, calibration, and a last test.

    Between calibration and test lies the label delay: what a model may learn from must have been
    known when it was put to use.
    """

    label_column: str = "is_fraud"  # of a file: which column says whether a row is fraud
    label_delay: str = "7d"  # until a label is known, for label-fed features and for the gap
    warmup: str = "0d"  # at the start: fills the state, and is not learnt from
    calibration: str = "7d"
    test: str = "7d"
    cards_checked: int = 100  # a day, for CP@k
    fit: FitParams = field(default_factory=FitParams)

    def __post_init__(self) -> None:
        for text in (self.label_delay, self.warmup, self.calibration, self.test):
            duration_ms(text)
        if duration_ms(self.calibration) == 0 or duration_ms(self.test) == 0:
            raise ValueError("calibration and test must be longer than nothing")
        if self.cards_checked < 1:
            raise ValueError("cards_checked must be at least 1")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, got {value}")
