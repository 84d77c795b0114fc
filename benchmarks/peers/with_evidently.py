"""Alarms of Evidently on streams of outcomes; or how long a report of its drift preset takes.

    python with_evidently.py STREAMS.npz ALARMS.json
    python with_evidently.py ROWS.npz TIMES.json --rows

The first as `with_river.py`: the share of errors in chunks of 1,000 examples against a reference,
with its z-test at its own threshold. The second reports `window` against `reference`, float64
(n, F), of which the last `categories` columns are no numbers. Runs in an environment of its own.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset

CHUNK, LEVEL, REPEATS = 1_000, 0.05, 3


def main() -> None:
    given = np.load(sys.argv[1])
    found = times(given) if "--rows" in sys.argv else {"z-test of chunks": judged(given)}
    Path(sys.argv[2]).write_text(json.dumps(found))


def judged(streams) -> dict[str, list[list[int]]]:  # type: ignore[no-untyped-def]
    references = streams["reference"]
    return {
        kind: [
            alarms(one, references[number % len(references)])
            for number, one in enumerate(streams[kind])
        ]
        for kind in ("silent", "changed")
    }


def alarms(outcomes: np.ndarray, reference: np.ndarray) -> list[int]:
    report = Report([ValueDrift(column="error", method="z", threshold=LEVEL)])
    known, places = dataset(reference), []
    for end in range(CHUNK, outcomes.size + 1, CHUNK):
        snapshot = report.run(dataset(outcomes[end - CHUNK : end]), known)
        if snapshot.dict()["metrics"][0]["value"] < LEVEL:
            places.append(end)
    return places


def dataset(outcomes: np.ndarray) -> Dataset:
    frame = pd.DataFrame({"error": outcomes.astype(int)})
    return Dataset.from_pandas(frame, data_definition=DataDefinition(categorical_columns=["error"]))


def times(given) -> dict[str, list[float]]:  # type: ignore[no-untyped-def]
    """Seconds of processor time of a report, several times; the frames are there before."""
    count = given["window"].shape[1]
    names = [f"x{i}" for i in range(count)]
    first = count - int(given["categories"])
    definition = DataDefinition(numerical_columns=names[:first], categorical_columns=names[first:])
    window, reference = (
        Dataset.from_pandas(pd.DataFrame(given[side], columns=names), data_definition=definition)
        for side in ("window", "reference")
    )
    found = []
    for _ in range(REPEATS):
        begin = time.process_time()
        Report([DataDriftPreset()]).run(window, reference).dict()
        found.append(time.process_time() - begin)
    return {"process_s": found}


if __name__ == "__main__":
    main()
