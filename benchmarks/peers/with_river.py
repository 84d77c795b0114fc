"""Alarms of river's drift detectors on streams of outcomes.

    python with_river.py STREAMS.npz ALARMS.json

Reads int8 arrays (streams, examples), writes for each detector and array the places of its alarms,
by stream. Each detector has its defaults. Runs in an environment of its own.
"""

import json
import sys
from pathlib import Path

import numpy as np
from river.drift import ADWIN, PageHinkley
from river.drift.binary import DDM, HDDMA, HDDMW

KINDS = ("silent", "changed")
DETECTORS = {
    "ADWIN": ADWIN,
    "PageHinkley": PageHinkley,
    "HDDM-A": HDDMA,
    "HDDM-W": HDDMW,
    "DDM": DDM,
}


def main() -> None:
    streams = np.load(sys.argv[1])
    found = {
        name: {kind: [alarms(make(), one.tolist()) for one in streams[kind]] for kind in KINDS}
        for name, make in DETECTORS.items()
    }
    Path(sys.argv[2]).write_text(json.dumps(found))


def alarms(detector, outcomes: list[int]) -> list[int]:  # type: ignore[no-untyped-def]
    places = []
    for place, outcome in enumerate(outcomes):
        detector.update(outcome)
        if detector.drift_detected:
            places.append(place + 1)
    return places


if __name__ == "__main__":
    main()
