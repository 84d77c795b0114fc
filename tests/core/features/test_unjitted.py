"""The kernels mean the same to Python as to numba: no overflow, no index out of bounds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sentinel.core.features.hashing import hash64
from sentinel.core.features.spec import EntityKind, EntityParams
from sentinel.core.features.state import FeatureState
from tests.children import WAIT_S_MAX
from tests.core.features.streams import every_feature, fold_all, long_stream, same_bits

KINDS: tuple[EntityKind, ...] = ("events", "tiles")


def outcome(kind: EntityKind) -> dict[str, list[object]]:
    """Features and stored bytes of a short stream, and what comes of reading these back."""
    params = EntityParams(kind=kind, events_max=5, tile="7h", grace="1h")
    entities, features = {"account": params, "terminal": params}, every_feature()

    def new_state() -> FeatureState:
        return FeatureState(
            entities, features, amount_decimals=2, partition_count=2, log=5, entities_max=32
        )

    state = new_state()
    found, late = fold_all(state, long_stream(1, 150, partition_count=2), [17])
    cuts = state.cut(0, count_max=100)
    again = new_state()
    for entity, cut in cuts.items():
        parts = [{0 if entity == "terminal" else -1: blob} for blob in cut.blobs]
        assert again.admit(entity, cut.names, parts) == 0
    more, _ = fold_all(again, long_stream(2, 50, partition_count=2), [50])
    return {
        "features": [*found.ravel().tolist(), *more.ravel().tolist()],
        "late": [*late],
        "blobs": [blob.hex() for cut in cuts.values() for blob in cut.blobs],
        "hashes": hash64(["a", None, "", "ü", "\ud800"]).tolist(),
    }


def main() -> None:
    # Hashes and checksums wrap around; nothing else may.
    with np.errstate(over="ignore"):
        sys.stdout.write(json.dumps([outcome(kind) for kind in KINDS]))


def test_kernels_do_the_same_without_their_compiler() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.core.features.test_unjitted"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False
    )
    assert done.returncode == 0, done.stderr

    for kind, plain in zip(KINDS, json.loads(done.stdout), strict=True):
        compiled = outcome(kind)
        features, plain_features = (np.array(o.pop("features")) for o in (compiled, plain))
        assert plain == compiled
        assert same_bits(plain_features, features) or plain_features == pytest.approx(
            features, rel=1e-12, nan_ok=True
        )  # the compiler may fuse a multiplication and an addition


if __name__ == "__main__":
    main()
