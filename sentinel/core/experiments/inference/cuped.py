"""What a covariate from before the experiment explains (CUPED; Deng, Xu, Kohavi and Walker 2013).

The covariate belongs to the account and not to its rows: how many rows an account has may be an
effect of its arm, and weights that an arm has an effect on would make the adjusted difference
wrong. The slope is that of both arms together, so that chance in one arm alone cannot choose it.
"""

import numpy as np

from sentinel.records import Floats

# What is left of sums of squares by rounding, relative to what they were made of.
ROUNDING = 1e-12


def slope(own: Floats) -> tuple[Floats, Floats]:
    """The slope of residuals y - r n on the covariate, of both arms together, and its mean.

    Parameters
    ----------
    own
        float64 (..., S, 2, 4, 4): sums of products of (1, n, y, x) of both arms, by step.

    Returns
    -------
    slope, mean
        (..., S, 1); a covariate that is the same everywhere has the slope 0.
    """
    both = own.sum(axis=-3)
    rate = both[..., 0, 2] / both[..., 0, 1]
    together = both[..., 2, 3] - rate * both[..., 1, 3]
    center = both[..., 0, 3] / both[..., 0, 0]
    spread = both[..., 3, 3] - center * both[..., 0, 3]
    is_constant = spread <= ROUNDING * both[..., 3, 3]
    theta = np.where(is_constant, 0.0, together / np.where(is_constant, 1.0, spread))
    return theta[..., None], center[..., None]
