"""What makes an analysed file hard to believe."""

from collections.abc import Sequence

import numpy as np

from sentinel.operations.experiments.files.rows import CrossedAccounts, OutcomeRows
from sentinel.records import Floats

# Outcomes are missing in one arm so much more often, as a share and as a multiple.
_MISSING_MORE, _MISSING_TIMES = 0.02, 1.5


def why_invalid(crossed: CrossedAccounts) -> str:
    """Why arms were not given by account; empty if they were."""
    if crossed.are_few:
        return ""
    return (
        f"{crossed.count:,} of {crossed.of_count:,} accounts are in more than one arm, such as "
        f"{', '.join(crossed.names)}: the arm was not given by account"
    )


def notes_on(rows: OutcomeRows, names: Sequence[str]) -> list[str]:
    """What one has to know of a file to believe what it says; `names` are those of the arms."""
    found = []
    crossed = rows.crossed
    if crossed.count and crossed.are_few:
        some = ", ".join(crossed.names) + " and others" * (crossed.count > len(crossed.names))
        found.append(
            f"{crossed.count:,} of {crossed.of_count:,} accounts are in more than one arm, and "
            f"left out: {some}"
        )
    missing = _missing_shares(rows, names)
    if max(missing) > max(min(missing) + _MISSING_MORE, _MISSING_TIMES * min(missing)):
        said = ", ".join(f"{100 * m:.1f} % of {n}" for m, n in zip(missing, names, strict=True))
        found.append(
            f"outcomes are missing in {said}: what is known of the arms is not alike, and no "
            "statistic mends that"
        )
    if rows.account_count == rows.times.size and rows.times.size > 1:
        found.append("no account has a second row")
    return found


def _missing_shares(rows: OutcomeRows, names: Sequence[str]) -> list[float]:
    is_missing: Floats = np.isnan(rows.outcomes).astype(np.float64)
    of_arms = [is_missing[rows.arms == rows.arm_names.index(name)] for name in names]
    return [float(some.mean()) if some.size else 0.0 for some in of_arms]
