"""Amounts of many currencies in one, where a double can tell the exact result."""

import numba
import numpy as np

from sentinel.records import Floats
from sentinel.texts import Bytes

# Columns of the table of currencies (codec/values/currencies.py).
_CODE, _SCALE, _FACTOR = 0, 1, 2

_EXACT_MAX = 2.0**53
_ERROR = 2.0**-50  # the factor is rounded once, and the product: 2**-52 at most


@numba.njit(cache=True, nogil=True)
def converted(amount: float, text: Bytes, begin: int, length: int, currencies: Floats) -> float:
    """Whole minor units of the reporting currency; NaN if the currency is unknown.

    NaN, too, as near to the middle of two of them as a rounding may reach: only whole numbers tell.
    """
    if length != 3:
        return np.nan
    code = text[begin] * 65_536.0 + text[begin + 1] * 256.0 + text[begin + 2]
    for i in range(currencies.shape[0]):
        if currencies[i, _CODE] == code:
            minor = np.rint(amount * currencies[i, _SCALE])
            if currencies[i, _FACTOR] == 1.0:
                return float(minor)
            product = minor * currencies[i, _FACTOR]
            whole = np.rint(product)
            is_sure = 0.5 - abs(product - whole) > abs(product) * _ERROR
            return whole if is_sure and abs(minor) <= _EXACT_MAX else np.nan
    return np.nan
