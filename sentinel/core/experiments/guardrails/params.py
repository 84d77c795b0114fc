"""How far an arm may be from the control before it is stopped, and how rarely wrongly."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuardrailParams:
    """The limits of an arm; 0 switches a guardrail off.

    Ratios are of accounts to which something happens for the first time, against the control's, for
    the accounts that each has.

    Attributes
    ----------
    alpha
        Of each guardrail: the share of arms within its limit that it stops, ever, at most.
    alert_ratio_max, alert_ratio_min
        Accounts of which a transaction is reviewed or blocked. An arm that hardly alerts is broken,
        too, and its frauds will be known only weeks later.
    block_ratio_max
        Accounts of which a transaction is blocked.
    loss_ratio_max
        Accounts that lose money by fraud that was let through, larger losses counting for more.
    loss_typical_minor
        A loss of this size or more counts in full, a smaller one for less; minor units.
    failure_share_max
        Of the arm's batches: its model failed, and the champion scored instead.
    slow_share_max
        Of the arm's batches: they took longer than they may.
    slow_burst
        So many batches in a row may be slow for one reason, such as a pause of the machine.
    accounts_max
        Of so many accounts it is remembered that something happened to them; later ones do not
        count.
    """

    alpha: float = 0.01
    alert_ratio_max: float = 1.5
    alert_ratio_min: float = 0.5
    block_ratio_max: float = 1.5
    loss_ratio_max: float = 1.25
    loss_typical_minor: int = 10_000
    failure_share_max: float = 0.01
    slow_share_max: float = 0.05
    slow_burst: int = 10
    accounts_max: int = 1_000_000

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.1:
            raise ValueError(f"alpha must be in (0, 0.1], got {self.alpha}")
        for name in ("alert_ratio_max", "block_ratio_max", "loss_ratio_max"):
            if not (getattr(self, name) == 0 or 1 <= getattr(self, name) <= 100):
                raise ValueError(f"{name} must be 0 or in 1..100, got {getattr(self, name)}")
        if not 0 <= self.alert_ratio_min <= 1:
            raise ValueError(f"alert_ratio_min must be in [0, 1], got {self.alert_ratio_min}")
        for name in ("failure_share_max", "slow_share_max"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if self.loss_typical_minor < 1:
            raise ValueError(
                f"loss_typical_minor must be at least 1, got {self.loss_typical_minor}"
            )
        if not 1 <= self.slow_burst <= 1_000:
            raise ValueError(f"slow_burst must be in 1..1000, got {self.slow_burst}")
        if not 1_000 <= self.accounts_max <= 100_000_000:
            raise ValueError("accounts_max must be in 1000..100000000")
