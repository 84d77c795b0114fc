"""Models of all kinds that users bring: each serves what its maker predicts, or is refused."""

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from numpy.random import default_rng
from scipy.special import expit

from sentinel.adapters.registry import read_folder, write_folder
from sentinel.config import Config
from sentinel.core.features.spec import FeatureParams
from sentinel.errors import ConfigError, ModelError
from sentinel.operations.models import trial
from sentinel.operations.models.given import VERSION_UNKNOWN, Origin, Past
from sentinel.records import Floats, Ints
from sentinel.serving_model import ServingModel, serving_model
from sentinel.stored.versions import Artifact
from tests.app import small

NAMES = (
    "amount",
    "hour",
    "account_count_7d",
    "account_mean_7d",
    "account_fraud_count_7d",
    "terminal_risk_7d",
)
TEXTS = ("cafe", "fuel", "hotel", "shop")  # "hour" of a configuration that knows them

Predict = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Brought:
    """A file, and what its maker predicts of rows."""

    data: bytes
    predict: Predict


def rows(count: int = 3000, seed: int = 3) -> tuple[Floats, Ints]:
    """Small codes in column 1, values missing elsewhere."""
    rng = default_rng(seed)
    features = rng.normal(size=(count, len(NAMES)))
    features[rng.random(features.shape) < 0.1] = np.nan
    features[:, 1] = rng.integers(0, len(TEXTS), count)
    signal = np.nan_to_num(features[:, 0]) + (features[:, 1] == 2) + 0.5 * features[:, 1]
    return features, (signal + rng.normal(size=count) > 2.0).astype(np.int64)


def odd_rows() -> Floats:
    """As a stream has them, with edges and values that nobody has seen."""
    features = rows(2000, seed=4)[0]
    rng = default_rng(5)
    edges = np.array([np.nan, 0.0, -0.0, 1e-36, 1e30, -1e30, 4.0, 7.0])
    at = rng.random(features.shape) < 0.2
    features[at] = rng.choice(edges, int(at.sum()))
    return features


def saved(
    tmp_path: Path,
    *,
    names: tuple[str, ...] = NAMES,
    categorical: tuple[int, ...] = (),
    tree_count: int = 12,
    valid: bool = False,
    **params: Any,
) -> Brought:
    """What `save_model` of LightGBM writes, and what the model in memory says."""
    features, labels = rows()
    told = {"objective": "binary", "num_threads": 1, "verbosity": -1, "seed": 1, **params}
    data = lightgbm.Dataset(
        features, labels, feature_name=list(names), categorical_feature=list(categorical)
    )
    kept = [lightgbm.Dataset(*rows(1000, seed=9), reference=data)] if valid else []
    callbacks = [lightgbm.early_stopping(2, verbose=False)] if valid else []
    booster = lightgbm.train(told, data, tree_count, valid_sets=kept, callbacks=callbacks)
    booster.save_model(tmp_path / "saved.txt")
    return Brought(
        (tmp_path / "saved.txt").read_bytes(), lambda x: booster.predict(x, num_threads=1)
    )


def with_texts(brought: Brought, texts: tuple[str, ...] = TEXTS) -> Brought:
    """As of a data frame with a column of texts: pandas coded them, LightGBM noted the list."""
    line = f"pandas_categorical:{json.dumps([texts])}".encode()
    data, count = re.subn(rb"pandas_categorical:.*", line, brought.data)
    assert count == 1
    return replace(brought, data=data)


def boosted(kind: str, **params: Any) -> Brought:
    """What XGBoost writes, and what it says."""
    features, labels = rows()
    told = {"objective": "binary:logistic", "nthread": 1, "seed": 1, **params}
    names = list(NAMES)
    matrix = xgboost.DMatrix(features, labels, feature_names=names)
    booster = xgboost.train(told, matrix, 12)

    def predict(x: Floats) -> Floats:
        found = booster.predict(xgboost.DMatrix(x, feature_names=names))
        return np.asarray(found, dtype=np.float64)

    return Brought(bytes(booster.save_raw(kind)), predict)


def own_objective(margin: Floats, data: Any) -> tuple[Floats, Floats]:
    p = 1 / (1 + np.exp(-margin))
    return p - data.get_label(), p * (1 - p)


def brought_to(tmp_path: Path, data: bytes, config: Config, **origin: Any) -> ServingModel:
    """Ready to serve as an instance has it, behind its trial."""
    trial.put_file(tmp_path, data, Origin(**{"file": "m", "by_position": False, **origin}))
    trial.tried_in(tmp_path, config)
    return serving_model(trial.made_version(tmp_path), [one.name for one in config.features])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small.config(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trial").mkdir()
    return tmp_path / "trial"


def with_categories(config: Config) -> Config:
    """Column 1 is a category of these texts."""
    hour = FeatureParams(name="hour", stat="category", field="kind", values=TEXTS)
    features = tuple(hour if one.name == "hour" else one for one in config.features)
    schema = replace(config.schema, categorical=("kind",))
    return replace(config, schema=schema, features=features)


SERVED: dict[str, Callable[[Path], Brought]] = {
    "plain": lambda path: saved(path),
    "names with spaces": lambda path: saved(
        path, names=tuple(name.replace("_", " ") for name in NAMES)
    ),
    "columns in another order": lambda path: reordered(path),
    "127 leaves": lambda path: saved(path, num_leaves=127, min_data_in_leaf=2),
    "dart": lambda path: saved(path, boosting="dart"),
    "random forest": lambda path: saved(
        path, boosting="rf", bagging_freq=1, bagging_fraction=0.5, feature_fraction=0.6
    ),
    "goss": lambda path: saved(path, data_sample_strategy="goss"),
    "categorical codes": lambda path: saved(path, categorical=(1,)),
    "monotone": lambda path: saved(path, monotone_constraints=[1, 0, 0, 0, 0, -1]),
    "early-stopped": lambda path: saved(path, valid=True, learning_rate=0.8, tree_count=60),
    "sigmoid 0.7": lambda path: saved(path, sigmoid=0.7),
    "stump": lambda path: saved(path, num_leaves=2, tree_count=1),
    "cross-entropy": lambda path: saved(path, objective="cross_entropy"),
    "windows' ends of lines": lambda path: with_ends(saved(path)),
    "zero as missing": lambda path: saved(path, zero_as_missing=True),
    "xgboost json": lambda _: boosted("json"),
    "xgboost ubjson": lambda _: boosted("ubj"),
    "xgboost, 9 levels": lambda _: boosted("ubj", max_depth=9, min_child_weight=0.1),
    "xgboost, random forest": lambda _: boosted("json", num_parallel_tree=4, subsample=0.5),
    "xgboost, base score": lambda _: boosted("json", base_score=0.013),
}


def with_ends(brought: Brought) -> Brought:
    """As an editor on Windows writes it, a byte order mark before it."""
    return replace(brought, data=codecs.BOM_UTF8 + brought.data.replace(b"\n", b"\r\n"))


def reordered(path: Path) -> Brought:
    """Trained on half of the declared features, the last one first."""
    features, labels = rows()
    order = [5, 0, 1]
    data = lightgbm.Dataset(features[:, order], labels, feature_name=[NAMES[i] for i in order])
    told = {"objective": "binary", "verbosity": -1, "monotone_constraints": [0, 1, 0]}
    booster = lightgbm.train(told | {"num_threads": 1}, data, 12)
    booster.save_model(path / "saved.txt")
    return Brought((path / "saved.txt").read_bytes(), lambda x: booster.predict(x[:, order]))


@pytest.mark.parametrize("bring", SERVED.values(), ids=SERVED.keys())
def test_what_a_model_predicted_where_it_was_made_it_serves_here(
    bring: Callable[[Path], Brought], folder: Path, config: Config
) -> None:
    brought = bring(folder)
    features = odd_rows()

    serving = brought_to(folder, brought.data, config, trained_until_ms=5)

    score = serving.score(serving.model.raw_scores(features))
    assert np.array_equal(score, brought.predict(features))
    # The scale of thresholds on the score, to which a later model's scores are mapped.
    assert np.allclose(expit(serving.scaled(serving.model.raw_scores(features))), score, atol=1e-7)
    # Without a history its own probabilities count, to the rounding of another library's exp.
    probability = serving.probability(serving.model.raw_scores(features))
    assert np.allclose(probability, score, atol=1e-7)


REFUSED: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "linear trees": (
        lambda path: saved(path, linear_tree=True).data,
        "has no contributions of its features, so that no alert could give reasons: .* linear",
    ),
    "custom objective": (
        lambda path: saved(path, objective=own_objective).data,
        "it has no objective, as after a fit with a function of one's own",
    ),
    "a regression": (
        lambda path: saved(path, objective="regression").data,
        "the objective must be binary or cross_entropy, this model's is regression",
    ),
    "string categories": (
        lambda path: with_texts(saved(path, categorical=(1,))).data,
        r'was trained on texts in hour .* values = \["cafe", "fuel", "hotel", "shop"\], in this',
    ),
    "string categories of which one is no category": (
        lambda path: with_texts(saved(path)).data,
        "was trained on 1 columns of texts .* and holds 0 categorical ones",
    ),
    "features that are not declared": (
        lambda path: saved(path, names=(*NAMES[:5], "balance")).data,
        "reads balance, which .* does not declare; declared and not read: terminal_risk_7d",
    ),
    "columns without names": (
        lambda path: saved(path, names=tuple(f"Column_{i}" for i in range(6))).data,
        "has columns without names of their own .* or say --by-position",
    ),
    "truncated": (
        lambda path: saved(path).data[:5000],
        "tree 1 is cut off or is not where the header says",
    ),
    "no trees": (
        lambda path: saved(path, min_data_in_leaf=100_000).data,
        "gives every transaction the same score",
    ),
    "lightgbm's dump": (lambda path: dumped(path), "is LightGBM's dump as JSON"),
    "xgboost, dart": (
        lambda _: boosted("json", booster="dart").data,
        "is an XGBoost model: its booster is dart",
    ),
    "xgboost, another objective": (
        lambda _: boosted("ubj", objective="binary:logitraw").data,
        "is an XGBoost model: its objective is binary:logitraw, and must be binary:logistic",
    ),
    "xgboost, early stopped": (
        lambda _: early_stopped(),
        "is an XGBoost model: it has 9 rounds, of which early stopping took the first 6: .*"
        r"booster\[:6\]",
    ),
    "xgboost, truncated": (
        lambda _: boosted("ubj").data[:3000],
        "is an XGBoost model: it is cut off or damaged at byte",
    ),
    "onnx": (lambda _: b"\x08\x08\x12\x08skl2onnx\x1a\x061.17.0", "is an ONNX model: import the"),
    "catboost": (lambda _: b"CBM1\x80\x0e\x00\x00", "is a CatBoost model"),
    "pickle": (lambda _: b"\x80\x04\x95\x1c\x00", "is a pickle: reading one could run anything"),
    "gzip": (lambda _: b"\x1f\x8b\x08\x00", "is a compressed file: unpack it first"),
    "another text": (lambda _: b"amount,label\n1,0\n",  "is no model that we know: .* 'amount"),
    "nothing": (lambda _: b"", "is no model that we know"),
    "noise": (lambda _: b"\xc3\x28\xa0", "is neither a text in UTF-8 nor a model that we know"),
}  # fmt: skip


def dumped(path: Path) -> bytes:
    (path / "x.txt").write_bytes(saved(path).data)
    return json.dumps(lightgbm.Booster(model_file=path / "x.txt").dump_model()).encode()


def early_stopped() -> bytes:
    whole = json.loads(boosted("json").data)
    model = whole["learner"]["gradient_booster"]["model"]
    model["trees"] = model["trees"][:9]
    whole["learner"]["attributes"] = {"best_iteration": "5"}
    return json.dumps(whole).encode()


@pytest.mark.parametrize(("bring", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_not_serve_as_it_was_made_is_refused_in_a_sentence(
    bring: Callable[[Path], bytes], reason: str, folder: Path, config: Config
) -> None:
    data = bring(folder)

    with pytest.raises((ConfigError, ModelError, ValueError)) as refusal:
        brought_to(folder, data, config, trained_until_ms=5)

    error = refusal.value
    sentence = error.detail if isinstance(error, ModelError) else str(error)
    assert re.match(reason, sentence), sentence
    assert "\n" not in sentence


def test_texts_that_the_configuration_codes_alike_are_served(folder: Path, config: Config) -> None:
    brought = with_texts(saved(folder, categorical=(1,)))
    features = odd_rows()

    serving = brought_to(folder, brought.data, with_categories(config), trained_until_ms=5)

    score = serving.score(serving.model.raw_scores(features))
    assert np.array_equal(score, brought.predict(features))
    # What pandas does not know is missing there, and one behind the last text here.
    other = features.copy()
    other[:, 1], features[:, 1] = len(TEXTS), np.nan
    assert np.array_equal(serving.model.raw_scores(other), serving.model.raw_scores(features))


def test_texts_in_another_order_are_not(folder: Path, config: Config) -> None:
    brought = with_texts(saved(folder, categorical=(1,)), TEXTS[::-1])

    with pytest.raises(ValueError, match="was trained on texts in hour"):
        brought_to(folder, brought.data, with_categories(config), trained_until_ms=5)


@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_columns_without_names_are_taken_by_their_position_when_asked(
    kind: str, folder: Path, config: Config
) -> None:
    features, labels = rows()
    matrix = xgboost.DMatrix(features, labels)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5)
    data = bytes(booster.save_raw(kind))
    with pytest.raises(ValueError, match="say --by-position"):
        brought_to(folder, data, config, trained_until_ms=5)

    serving = brought_to(folder, data, config, by_position=True, trained_until_ms=5)

    score = serving.score(serving.model.raw_scores(features))
    assert np.array_equal(score, booster.predict(matrix).astype(np.float64))
    assert serving.model.feature_names == NAMES
    fewer = replace(config, features=config.features[:4])
    with pytest.raises(ValueError, match=r"has 6 columns, and \[\[features\]\] declares 4"):
        brought_to(folder, data, fewer, by_position=True, trained_until_ms=5)


def test_contributions_of_an_xgboost_model_are_xgboosts(folder: Path, config: Config) -> None:
    features, labels = rows()
    matrix = xgboost.DMatrix(features, labels, feature_names=list(NAMES))
    told = {"objective": "binary:logistic", "nthread": 1, "max_depth": 9, "min_child_weight": 0.1}
    booster = xgboost.train(told, matrix, 12)

    serving = brought_to(folder, bytes(booster.save_raw("ubj")), config, trained_until_ms=5)

    theirs = booster.predict(matrix, pred_contribs=True)[:50, :-1]
    assert np.allclose(serving.model.contributions(features[:50]), theirs, atol=1e-5)


def test_a_model_is_calibrated_and_measured_on_a_history_of_its_own(
    folder: Path, config: Config
) -> None:
    features, labels = rows(4000, seed=8)
    times_ms = np.linspace(0, 27 * 86_400_000, len(labels)).astype(np.int64)
    accounts = np.arange(len(labels)) % 50
    brought = saved(folder, scale_pos_weight=8.0)  # its probabilities are too high
    trial.put_history(folder, Past(features, labels, times_ms, accounts, 7))

    serving = brought_to(folder, brought.data, config, trained_until_ms=5)

    manifest = trial.made_version(folder).manifest
    metrics = manifest["metrics"]
    assert metrics["auc"] > 0.7
    assert metrics["rows"] == np.count_nonzero(times_ms >= times_ms[-1] + 1 - 6 * 86_400_000)
    assert metrics["mean_probability_to_prevalence"] == pytest.approx(1, abs=0.1)
    assert manifest["rejected_rows"] == 7
    assert manifest["strategy"] == "imported"
    assert set(manifest["window"]) == {"calibration", "test"}
    assert not np.isnan(serving.usual.low).any()
    raw = serving.model.raw_scores(features)
    assert serving.probability(raw).mean() < 0.7 * serving.score(raw).mean()


def test_a_history_that_does_not_do_is_refused(folder: Path, config: Config) -> None:
    features, labels = rows(100)
    past = Past(features, labels, np.arange(100), np.arange(100), 0)
    trial.put_history(folder, past)

    with pytest.raises(ConfigError, match="the span for calibration needs frauds"):
        brought_to(folder, saved(folder).data, config, trained_until_ms=5)


def test_without_a_history_nothing_is_measured(folder: Path, config: Config) -> None:
    brought_to(folder, saved(folder).data, config, trained_until_ms=5)

    manifest = trial.made_version(folder).manifest
    assert manifest["metrics"] is None
    assert manifest["calibration"] == {"slope": 1.0, "intercept": 0.0}
    assert manifest["trained_until_ms"] == 5
    assert len(manifest["golden"]["score"]) > 8
    assert len(set(manifest["golden"]["score"])) > 4


def version(folder: Path, config: Config, **facts: Any) -> Artifact:
    """A whole version, some facts of its manifest changed."""
    brought_to(folder, saved(folder).data, config, trained_until_ms=5)
    given = trial.made_version(folder)
    manifest = {**given.manifest, "version": "1.0.0", **facts}
    return Artifact("1.0.0", given.text, manifest)


def test_a_version_with_golden_rows_of_another_model_is_refused(
    tmp_path: Path, folder: Path, config: Config
) -> None:
    given = version(folder, config)
    golden = given.manifest["golden"]
    golden = {**golden, "score": [0.5, *golden["score"][1:]]}
    trial.put_version(tmp_path / "as it is", given)
    wrong = replace(given, manifest={**given.manifest, "golden": golden})
    trial.put_version(tmp_path / "wrong", wrong)

    assert trial.tried_in(tmp_path / "as it is", config).engine == "kernel"
    with pytest.raises(ModelError, match="gives another score here than where it was made"):
        trial.tried_in(tmp_path / "wrong", config)


def test_other_bytes_under_a_version_are_refused(
    tmp_path: Path, folder: Path, config: Config
) -> None:
    given = version(folder, config)
    write_folder(tmp_path / "out", given)
    path = tmp_path / "out" / "model.txt"
    path.write_bytes(path.read_bytes().replace(b"leaf_value=-", b"leaf_value=", 1))

    with pytest.raises(ModelError, match="does not have the manifest's SHA-256"):
        read_folder(tmp_path / "out", VERSION_UNKNOWN)
