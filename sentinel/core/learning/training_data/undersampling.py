"""Fewer genuine rows to train on, and the probabilities put right again.

Where one row in two hundred is fraud, most genuine ones teach little and cost the same. A model
that saw all frauds but only a share b of the genuine believes that odds are 1 / b times as high as
they are; as the share is known, that is put right exactly (Dal Pozzolo, Caelen, Johnson and
Bontempi, Calibrating probability with undersampling for unbalanced classification, IEEE SSCI 2015).
"""

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.hashing import is_drawn
from sentinel.core.learning.calibration import Calibration
from sentinel.records import Floats, Ints

_SALT = 0x756E64657273616D  # not to know what else was sampled by the same hashes


def kept_share(is_fraud: NDArray[np.bool_], *, genuine_per_fraud: float) -> float:
    """The share b of genuine rows to keep, in (0, 1], for so many of them to a fraud on average.

    1 if there are fewer, or if all rows are of one kind: then there is no ratio to reach.
    """
    assert genuine_per_fraud > 0
    fraud_count = int(np.count_nonzero(is_fraud))
    genuine_count = is_fraud.size - fraud_count
    if fraud_count == 0 or genuine_count == 0:
        return 1.0
    return min(1.0, genuine_per_fraud * fraud_count / genuine_count)


def is_kept(id_hash: Ints, is_fraud: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Which rows to train on, bool (n,): all frauds, and this share of the genuine.

    Parameters
    ----------
    id_hash
        int64 (n,): `hash64` of the transactions' identifiers. The same ones are kept each time, and
        with a larger share those and others.
    """
    assert id_hash.shape == is_fraud.shape
    assert 0 < share <= 1
    found: NDArray[np.bool_] = is_fraud | is_drawn(id_hash, _SALT, share)
    return found


def corrected_probability(probability: Floats, share: float) -> Floats:
    """What a model trained with this share of the genuine meant: b*p / (b*p - p + 1), same shape.

    Parameters
    ----------
    probability
        In [0, 1]; 0 and 1 stay as they are.
    """
    assert 0 < share <= 1
    # 1 - p before b * p is added: near 1 the formula as it is written loses digits.
    scaled = share * probability
    return scaled / (scaled + (1.0 - probability))


def corrected_log_odds(raw: Floats, share: float) -> Floats:
    """The same in log-odds, same shape: log(b*p / (1 - p)) is log b more than log(p / (1 - p))."""
    assert 0 < share <= 1
    return raw + np.log(share)


def correction(share: float) -> Calibration:
    """The same as a calibration of a model's raw scores, for where no other is fitted."""
    assert 0 < share <= 1
    return Calibration(intercept=float(np.log(share)))
