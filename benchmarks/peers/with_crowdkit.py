"""Dawid–Skene of crowd-kit on files of votes: posteriors, and the seconds they took.

    python with_crowdkit.py FOLDER

Reads FOLDER/*.votes.csv (task, worker, label 0 or 1), writes FOLDER/*.crowdkit.csv (task,
posterior) and FOLDER/crowdkit.json (seconds by file). Runs in an environment of its own.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd
from crowdkit.aggregation import DawidSkene


def main() -> None:
    folder = Path(sys.argv[1])
    seconds = {}
    for file in sorted(folder.glob("*.votes.csv")):
        votes = pd.read_csv(file)
        begun = time.perf_counter()
        # As many rounds as it would ever use; its default tolerance.
        found = DawidSkene(n_iter=100).fit_predict_proba(votes)
        name = file.name.removesuffix(".votes.csv")
        seconds[name] = time.perf_counter() - begun
        posterior = found[1] if 1 in found.columns else found.iloc[:, 0] * 0.0
        table = pd.DataFrame({"task": found.index, "posterior": posterior.to_numpy()})
        table.sort_values("task").to_csv(folder / f"{name}.crowdkit.csv", index=False)
    (folder / "crowdkit.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
