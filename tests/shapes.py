"""Small files in the shape of the field's public ones, with made-up rows: `python -m tests.shapes`.

The columns, their order, their types and how each is written are those of the originals: Sparkov's
simulated cards, PaySim, the Bank Account Fraud suite, IEEE-CIS, the Fraud Detection Handbook and
the card transactions of ULB.
"""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

FOLDER = Path(__file__).parent / "data" / "shapes"
SEED = 20_260_301

Rng = np.random.Generator
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def sparkov(rng: Rng, count: int = 1_500) -> pl.DataFrame:
    """Local times as text, a card number, a merchant, much of the holder's person."""
    cards, shops = rng.integers(0, 60, count), rng.integers(0, 80, count)
    is_fraud = rng.random(count) < 0.05
    categories = np.array(["grocery_pos", "gas_transport", "misc_net", "shopping_net", "home"])
    kind = np.where(is_fraud & (rng.random(count) < 0.7), 3, rng.integers(0, 5, count))
    amount = rng.lognormal(3.2 + cards % 7 / 7, 0.7, count)
    amount[is_fraud] = rng.lognormal(6.2, 0.5, is_fraud.sum())
    seconds = np.sort(rng.integers(0, 75 * 86_400, count))
    when = [(BEGIN + timedelta(seconds=int(s))).strftime("%Y-%m-%d %H:%M:%S") for s in seconds]
    first = np.array(["Ada", "Bo", "Cleo", "Dag", "Eva"])
    return pl.DataFrame(
        {
            "": np.arange(count),
            "trans_date_trans_time": when,
            "cc_num": 4_000_000_000_000_000 + cards * 7_717,
            "merchant": [f"fraud_Shop {shop}" for shop in shops],
            "category": categories[kind],
            "amt": amount.round(2),
            "first": first[cards % 5],
            "last": [f"Name{card}" for card in cards],
            "gender": np.where(cards % 2, "F", "M"),
            "street": [f"{card} Main Street" for card in cards],
            "city": [f"Town {card % 55}" for card in cards],
            "state": np.array(["TX", "CA", "NY", "OH"])[cards % 4],
            "zip": 70_000 + cards,
            "lat": 30 + cards / 10,
            "long": -99 + cards / 10,
            "city_pop": cards * 1_000,
            "job": [f"Job {card % 53}" for card in cards],
            "dob": [f"19{50 + card % 50}-03-0{1 + card % 9}" for card in cards],
            "trans_num": [rng.bytes(16).hex() for _ in range(count)],
            # The original's is of seven years earlier: no column says of which zone the times are.
            "unix_time": int(BEGIN.timestamp()) - 220_924_800 + seconds,
            "merch_lat": (30 + rng.random(count) * 7).round(6),
            "merch_long": (-99 + rng.random(count) * 7).round(6),
            "is_fraud": is_fraud.astype(int),
        }
    )


def paysim(rng: Rng, count: int = 2_000) -> pl.DataFrame:
    """Hours as a counter, no identifier; accounts that come once, and others that come back."""
    step = np.sort(rng.integers(1, 744, count))
    is_fraud = rng.random(count) < 0.05
    kinds = np.array(["PAYMENT", "CASH_IN", "DEBIT", "TRANSFER", "CASH_OUT"])
    kind = np.where(is_fraud, rng.integers(3, 5, count), rng.integers(0, 5, count))
    before = rng.lognormal(9, 1, count).round(2)
    amount = np.where(is_fraud, before, (before * rng.random(count) * 0.6)).round(2)
    after, other = (before - amount).clip(0).round(2), rng.lognormal(9, 2, count).round(2)
    return pl.DataFrame(
        {
            "step": step,
            "type": kinds[kind],
            "amount": amount,
            "nameOrig": [f"C{i}" for i in rng.integers(10**8, 10**8 + 900, count)],
            "oldbalanceOrg": before,
            "newbalanceOrig": after,
            "nameDest": [
                f"{'M' if k == 0 else 'C'}{i}"
                for k, i in zip(kind, rng.integers(10**8, 10**8 + 300, count), strict=True)
            ],
            "oldbalanceDest": other,
            "newbalanceDest": (other + amount).round(2),
            "isFraud": is_fraud.astype(int),
            "isFlaggedFraud": (is_fraud & (amount > 20_000)).astype(int),
        }
    )


def baf(rng: Rng, count: int = 2_000) -> pl.DataFrame:
    """Applications of a month each: nobody's account, and no identifier."""
    is_fraud = rng.random(count) < 0.06
    income = (rng.integers(1, 10, count) / 10).round(1)
    return pl.DataFrame(
        {
            "fraud_bool": is_fraud.astype(int),
            "income": np.where(is_fraud, 0.9, income),
            "name_email_similarity": (rng.random(count) * np.where(is_fraud, 0.4, 1)).round(6),
            "prev_address_months_count": rng.choice([-1, 5, 30, 100], count),
            "current_address_months_count": rng.integers(-1, 300, count),
            "customer_age": rng.choice([20, 30, 40, 50, 60], count),
            "days_since_request": rng.exponential(1.0, count).round(6),
            "intended_balcon_amount": rng.normal(-1, 20, count).round(4),
            "payment_type": rng.choice(["AA", "AB", "AC", "AD", "AE"], count),
            "zip_count_4w": rng.integers(1, 6_000, count),
            "velocity_6h": rng.normal(5_600, 3_000, count).round(4),
            "velocity_24h": rng.normal(4_700, 1_400, count).round(4),
            "velocity_4w": rng.normal(4_800, 900, count).round(4),
            "bank_branch_count_8w": rng.integers(0, 2_000, count),
            "date_of_birth_distinct_emails_4w": rng.integers(0, 30, count),
            "employment_status": rng.choice(["CA", "CB", "CC", "CD"], count),
            "credit_risk_score": rng.integers(-100, 380, count) + 150 * is_fraud,
            "email_is_free": rng.integers(0, 2, count),
            "housing_status": np.where(
                is_fraud & (rng.random(count) < 0.7), "BA", rng.choice(["BB", "BC", "BE"], count)
            ),
            "phone_home_valid": rng.integers(0, 2, count),
            "phone_mobile_valid": rng.integers(0, 2, count),
            "bank_months_count": rng.integers(-1, 32, count),
            "has_other_cards": rng.integers(0, 2, count),
            "proposed_credit_limit": rng.choice([200.0, 500.0, 1_000.0, 1_500.0], count),
            "foreign_request": rng.integers(0, 2, count),
            "source": np.where(rng.random(count) < 0.98, "INTERNET", "TELEAPP"),
            "session_length_in_minutes": rng.exponential(7, count).round(6),
            "device_os": rng.choice(["linux", "windows", "macintosh", "other"], count),
            "keep_alive_session": rng.integers(0, 2, count),
            "device_distinct_emails_8w": rng.choice([0, 1, 2], count),
            "device_fraud_count": np.zeros(count, dtype=int),
            "month": np.sort(rng.integers(0, 8, count)),
        }
    )


def ieee(rng: Rng, count: int = 1_200) -> pl.DataFrame:
    """Seconds from an origin that nobody tells, and hundreds of numbers without a meaning."""
    is_fraud = rng.random(count) < 0.08
    seconds = 86_400 + np.sort(rng.integers(0, 180 * 86_400, count))
    cards = rng.integers(1_000, 1_150, count)
    amount = rng.lognormal(4, 0.9, count) * np.where(is_fraud, 3, 1)
    mails = rng.choice(["gmail.com", "yahoo.com", "hotmail.com", "anonymous.com"], count)
    columns: dict[str, object] = {
        "TransactionID": 2_987_000 + np.arange(count),
        "isFraud": is_fraud.astype(int),
        "TransactionDT": seconds,
        "TransactionAmt": amount.round(3),
        "ProductCD": np.where(is_fraud, "C", rng.choice(["W", "H", "C", "S", "R"], count)),
        "card1": cards,
        "card2": _gaps(rng, 100.0 + cards % 500),
        "card3": np.full(count, 150.0) + 35 * (cards % 9 == 0),
        "card4": np.array(["visa", "mastercard", "discover"])[cards % 3],
        "card5": 100.0 + cards % 120,
        "card6": np.array(["debit", "credit"])[cards % 2],
        "addr1": _gaps(rng, 100.0 + cards % 400),
        "addr2": _gaps(rng, np.full(count, 87.0)),
        "dist1": _gaps(rng, rng.integers(0, 300, count).astype(float), 0.6),
        "dist2": _gaps(rng, rng.integers(0, 300, count).astype(float), 0.9),
        "P_emaildomain": mails,
        "R_emaildomain": [mail if rng.random() < 0.2 else None for mail in mails],
    }
    for i in range(1, 15):
        columns[f"C{i}"] = rng.poisson(1 + 2 * is_fraud, count).astype(float)
    for i in range(1, 16):
        columns[f"D{i}"] = _gaps(rng, rng.integers(0, 500, count).astype(float), 0.4)
    for i in range(1, 10):
        words = ["M0", "M1", "M2"] if i == 4 else ["T", "F"]
        columns[f"M{i}"] = [rng.choice(words) if rng.random() < 0.6 else None for _ in is_fraud]
    for i in range(1, 340):
        columns[f"V{i}"] = _gaps(rng, rng.poisson(0.3, count).astype(float), 0.3)
    return pl.DataFrame(columns)


def _gaps(rng: Rng, values: np.ndarray, share: float = 0.1) -> list[float | None]:
    gaps = rng.random(len(values)) < share
    return [None if gap else float(v) for v, gap in zip(values, gaps, strict=True)]


def handbook(rng: Rng, count: int = 2_500) -> pl.DataFrame:
    """Typed times and numbers; a few terminals are compromised from the tenth day on."""
    seconds = np.sort(rng.integers(0, 60 * 86_400, count))
    terminal = rng.integers(0, 60, count)
    amount = rng.gamma(2, 25, count).round(2)
    is_large = amount > 170
    is_bad = (terminal < 4) & (seconds > 10 * 86_400) & (rng.random(count) < 0.8)
    scenario = np.where(is_large, 1, np.where(is_bad, 2, 0))
    return pl.DataFrame(
        {
            "TRANSACTION_ID": np.arange(count),
            "TX_DATETIME": [datetime(2018, 4, 1) + timedelta(seconds=int(s)) for s in seconds],
            "CUSTOMER_ID": rng.integers(0, 200, count),
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": amount,
            "TX_TIME_SECONDS": seconds,
            "TX_TIME_DAYS": seconds // 86_400,
            "TX_FRAUD": (scenario > 0).astype(int),
            "TX_FRAUD_SCENARIO": scenario,
        }
    )


def ulb(rng: Rng, count: int = 1_500) -> pl.DataFrame:
    """Two days in seconds, 28 components, an amount: no identifier, and nobody's card."""
    is_fraud = rng.random(count) < 0.06
    seconds = np.sort(rng.integers(0, 172_792, count)).astype(float)
    parts = rng.normal(0, 1, (count, 28)) - 2.5 * is_fraud[:, None] * (np.arange(28) % 7 == 0)
    columns = {f"V{i + 1}": parts[:, i].round(4) for i in range(28)}
    amount = rng.lognormal(3, 1.2, count).round(2)
    return pl.DataFrame(
        {"Time": seconds, **columns, "Amount": amount, "Class": is_fraud.astype(int)}
    )


Write = Callable[[pl.DataFrame, Path], None]


def _csv(frame: pl.DataFrame, path: Path) -> None:
    data = frame.write_csv().encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _parquet(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd")


SHAPES: dict[str, tuple[Callable[[Rng], pl.DataFrame], Write]] = {
    "sparkov.csv": (sparkov, _csv),
    "paysim.csv": (paysim, _csv),
    "baf.csv.gz": (baf, _csv),
    "ieee_cis.csv.gz": (ieee, _csv),
    "handbook.parquet": (handbook, _parquet),
    "ulb_cards.csv.gz": (ulb, _csv),
}


def write(folder: Path) -> None:
    """All of them, the same at each call."""
    for name, (make, put) in SHAPES.items():
        put(make(np.random.default_rng(SEED)), folder / name)


if __name__ == "__main__":
    write(FOLDER)
