"""Alarms of NannyML's realised performance on streams of outcomes.

    python with_nannyml.py STREAMS.npz ALARMS.json

As `with_river.py`; accuracy of chunks of 1,000 examples, its thresholds (three standard deviations
of the reference's chunks), and a reference of its own for each stream. Runs in an environment of
its own.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from nannyml import PerformanceCalculator

CHUNK = 1_000


def main() -> None:
    streams = np.load(sys.argv[1])
    references = streams["reference"]
    found = {
        kind: [
            alarms(one, references[number % len(references)])
            for number, one in enumerate(streams[kind])
        ]
        for kind in ("silent", "changed")
    }
    Path(sys.argv[2]).write_text(json.dumps({"accuracy of chunks": found}))


def alarms(outcomes: np.ndarray, reference: np.ndarray) -> list[int]:
    calculator = PerformanceCalculator(
        problem_type="classification_binary",
        y_true="error",
        y_pred="said",
        y_pred_proba="p",
        metrics=["accuracy"],
        chunk_size=CHUNK,
    )
    results = calculator.fit(frame(reference)).calculate(frame(outcomes))
    told = results.filter(period="analysis").to_df()[("accuracy", "alert")].tolist()
    return [(place + 1) * CHUNK for place, is_alarm in enumerate(told) if is_alarm]


def frame(outcomes: np.ndarray) -> pd.DataFrame:
    # An error is an example for which 0 was said and 1 is true.
    return pd.DataFrame({"error": outcomes.astype(int), "said": 0, "p": 0.0})


if __name__ == "__main__":
    main()
