"""Models as users bring them that LightGBM itself has to score: their trees have linear leaves."""

import functools
import itertools
import re

import lightgbm
import numpy as np

from sentinel.serving_model import golden, serving_model
from sentinel.stored.versions import Artifact
from tests.engine.learning_world import artifact, training_rows
from tests.engine.samples import NAMES


@functools.cache
def linear_text(names: tuple[str, ...] = tuple(NAMES), *, breaks: bool = False) -> str:
    """Its contributions LightGBM refuses to tell.

    One that `breaks` scores nothing and tiny amounts; of others two trees make inf - inf.
    """
    rng = np.random.default_rng(7)
    features = training_rows() if names == tuple(NAMES) else rng.random((800, len(names)))
    amount = features[:, 0]
    noise = rng.normal(0, 0.5 * amount.std(), amount.size)
    labels = (amount + noise > np.quantile(amount, 0.75)).astype(np.int64)
    settings = {"objective": "binary", "linear_tree": True, "num_leaves": 3, "learning_rate": 0.3}
    settings |= {"num_threads": 1, "verbosity": -1}
    data = lightgbm.Dataset(features, labels, feature_name=list(names))
    text: str = lightgbm.train(settings, data, 4).model_to_string()
    assert "is_linear=1" in text
    if not breaks:
        return text
    huge = itertools.cycle(["1e308", "-1e308"])

    def broken(line: re.Match[str]) -> str:  # of the same length, which the text's head tells
        value = next(huge)
        return "leaf_coeff=" + re.sub(r"\S+", lambda one: value.ljust(len(one[0])), line[1])

    return re.sub(r"leaf_coeff=(.*)", broken, text)


def linear(version: str, *, breaks: bool = False) -> Artifact:
    """Ready for the registry."""
    text = linear_text(breaks=breaks)
    facts = {name: x for name, x in artifact(version).manifest.items() if name != "golden"}
    one = Artifact(version, text, {**facts, "engine": "lightgbm"})
    if breaks:  # what it was proven by were small payments
        return one
    raw = serving_model(one, NAMES).model.raw_scores(training_rows())
    calibration = {"slope": 1.0, "intercept": 1.0 - float(np.quantile(raw, 0.75))}
    one = Artifact(version, text, {**one.manifest, "calibration": calibration})
    rows = golden(serving_model(one, NAMES), training_rows()[:3])
    return Artifact(version, text, {**one.manifest, "golden": rows})
