"""Which arm is the control, and which share of the accounts each arm should have."""

import math
from collections.abc import Sequence

from sentinel.adapters.files.opening import some_names
from sentinel.errors import ConfigError

_CONTROLS = ("control", "champion")
_SUM_TOLERANCE = 2e-3  # of shares as people round them


def in_order(names: Sequence[str], control: str | None) -> list[str]:
    """The control, and behind it the challengers by name. Raises ConfigError."""
    if control is not None:
        first = _alike(names, control)
        if first is None:
            raise ConfigError(f"--control {control}: there is no such arm; {_there(names)}")
    else:
        usual = [name for name in names if name.casefold() in _CONTROLS]
        if len(usual) != 1:
            why = "two arms are" if usual else "no arm is"
            raise ConfigError(
                f"{why} named control or champion: --control says which one is; {_there(names)}"
            )
        first = usual[0]
    return [first, *(name for name in names if name != first)]


def told_shares(names: Sequence[str], told: str | None) -> tuple[float, ...]:
    """Of each arm, in order: equal ones, or those of "a=0.9,b=0.1" or "0.9,0.1".

    Raises ConfigError where they are none of all accounts.
    """
    if told is None:
        return (1 / len(names),) * len(names)
    parts = [part.strip() for part in told.split(",") if part.strip()]
    if any("=" in part for part in parts):
        by_name = dict.fromkeys(names, math.nan)
        for part in parts:
            name, _, value = part.rpartition("=")
            arm = _alike(names, name.strip())
            if arm is None:
                raise ConfigError(f'--shares {told}: "{name}" is no arm; {_there(names)}')
            if not math.isnan(by_name[arm]):
                raise ConfigError(f"--shares {told}: {arm} has two shares")
            by_name[arm] = _share(told, value)
        if lacking := [name for name, share in by_name.items() if math.isnan(share)]:
            raise ConfigError(f"--shares {told}: {some_names(lacking)} have none")
        shares = list(by_name.values())
    else:
        shares = [_share(told, part) for part in parts]
        if len(shares) != len(names):
            raise ConfigError(
                f"--shares {told}: must be one for each arm, in the order {list(names)}"
            )
    total = sum(shares)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise ConfigError(f"--shares {told}: must sum to 1, got {total:.6g}")
    return tuple(share / total for share in shares)


def _share(told: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ConfigError(f'--shares {told}: a share must lie between 0 and 1, got "{text}"')
    return share


def _alike(names: Sequence[str], told: str) -> str | None:
    """The arm of that name, or the only one that differs by case alone."""
    if told in names:
        return told
    alike = [name for name in names if name.casefold() == told.casefold()]
    return alike[0] if len(alike) == 1 else None


def _there(names: Sequence[str]) -> str:
    return f"the arms are {some_names(names)}"
