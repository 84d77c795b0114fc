"""Currencies: their decimals, and amounts converted to one of them by rates that were set.

An amount is first rounded to whole minor units of its own currency, then the product with the rate
to whole minor units of the reporting one, each half to even. The rate is the decimal number that
was written, so that nothing depends on binary fractions.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

import numpy as np

from sentinel.records import Floats

# ISO 4217, list one, as SIX Group (www.six-group.com) published it on 2026-01-01, with the decimals
# of its column "minor unit"; the last line is of codes that were withdrawn of late and stand in
# histories.
_TWO_DECIMALS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
    GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
    PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
    TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    ANG BGN CUC HRK SLL ZWL
"""
_OTHERS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **{code: decimals for decimals, codes in _OTHERS.items() for code in codes.split()},
}


def currencies_seen(texts: Iterable[str | None]) -> frozenset[str]:
    """The currencies that a column names; none if it holds anything that is no currency."""
    found = {text for text in texts if text}
    return frozenset(found) if found <= DECIMALS.keys() else frozenset()


def factors(reporting: str, rates: Mapping[str, float]) -> dict[str, Fraction]:
    """Minor units of the reporting currency for one minor unit of each that has a rate."""
    per_unit = {code: Fraction(repr(rate)) for code, rate in rates.items()}
    per_unit[reporting] = Fraction(1)
    return {
        code: rate * Fraction(10) ** (DECIMALS[reporting] - DECIMALS[code])
        for code, rate in per_unit.items()
    }


def kernel_table(factor_of: Mapping[str, Fraction], *, is_minor: bool) -> Floats:
    """What compiled functions need: code, minor units for one as written, and factor; (n, 3)."""
    rows = [
        (
            int.from_bytes(code.encode(), "big"),
            1.0 if is_minor else 10.0 ** DECIMALS[code],
            float(factor),
        )
        for code, factor in factor_of.items()
    ]
    return np.array(rows, dtype=np.float64)


def check_rates(reporting: str, rates: Mapping[str, float]) -> None:
    """Raises ValueError for what is no currency, or no rate."""
    if unknown := sorted({reporting, *rates} - DECIMALS.keys()):
        raise ValueError(f"currencies {unknown} are not among the codes of ISO 4217, such as EUR")
    for code, rate in rates.items():
        if not 1e-9 <= rate <= 1e9:
            raise ValueError(f"rates.{code} must be in 1e-9..1e9, got {rate}")
    if rates.get(reporting, 1.0) != 1.0:
        raise ValueError(f"rates.{reporting} must be 1: it is the reporting currency")
