"""A first model: cut by time, tested on what came later, and refused where it does not fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.app.prepare import prepare_model
from sentinel.app.status import Status
from sentinel.config import Config
from sentinel.core.learning.params import TrainingParams
from sentinel.engine.health import Health
from sentinel.errors import ConfigError, ModelError
from sentinel.metrics import Metrics
from sentinel.model import Model
from sentinel.operations.data.history import DAY_MS, UNKNOWN
from sentinel.operations.models.train import spans, train
from sentinel.serving_model import serving_model
from sentinel.stored.versions import Artifact
from tests.app import small

START = 1_577_836_800_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return small.config(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def trained(settings: Config) -> tuple[str, dict[str, Any]]:
    return train(*small.folded(settings), settings)


@pytest.fixture(scope="module")
def names(settings: Config) -> list[str]:
    return [feature.name for feature in settings.features]


def cut(settings: Config, day_count: int = 30, **training: str) -> dict[str, list[int]]:
    """Days that each span takes of a history with one row at each noon."""
    times = START + np.arange(day_count * 2) // 2 * DAY_MS + DAY_MS // 2
    labels = np.arange(day_count * 2) % 2
    params = replace(settings, training=replace(settings.training, **training))  # type: ignore[arg-type]
    found = spans(times, labels, params)
    return {
        name: sorted({int(at - START) // DAY_MS for at in times[getattr(found, name)]})
        for name in ("train", "calibration", "test")
    }


def test_what_a_model_learns_from_was_known_when_it_was_put_to_use(settings: Config) -> None:
    found = cut(settings, warmup="3d")

    assert found["train"] == list(range(3, 17))
    assert found["calibration"] == list(range(17, 22))
    assert found["test"] == list(range(24, 30)), "after calibration and two days of label delay"


def test_without_a_label_delay_the_test_follows_at_once(settings: Config) -> None:
    found = cut(settings, label_delay="0d")

    assert found["calibration"][-1] + 1 == found["test"][0]


@pytest.mark.parametrize(
    ("day_count", "training", "name"),
    [(8, {}, "train"), (13, {}, "train"), (30, {"warmup": "25d"}, "train")],
)
def test_a_history_too_short_is_refused(
    settings: Config, day_count: int, training: dict[str, str], name: str
) -> None:
    with pytest.raises(ConfigError, match=f"the span for {name} needs frauds and genuine") as e:
        cut(settings, day_count, **training)
    assert f"spans {day_count - 1:.1f} days" in str(e.value)


def test_a_span_without_frauds_is_refused(settings: Config) -> None:
    times = START + np.arange(30) * DAY_MS
    labels = np.zeros(30, dtype=np.int64)
    with pytest.raises(ConfigError, match=r"classes \[0\]"):
        spans(times, labels, settings)
    with pytest.raises(ConfigError, match=r"0 labelled rows of classes \[\]"):
        spans(times, np.full(30, UNKNOWN), settings)


def test_what_is_not_labelled_is_in_no_span(settings: Config) -> None:
    times = START + np.arange(90) // 3 * DAY_MS
    labels = np.array([0, 1, UNKNOWN] * 30)

    found = spans(times, labels, settings)

    for mask in (found.train, found.calibration, found.test):
        assert set(labels[mask]) == {0, 1}


def test_a_model_on_a_simulated_history_is_of_use(trained: tuple[str, dict[str, Any]]) -> None:
    metrics = trained[1]["metrics"]

    assert metrics["rows"] > 300
    assert metrics["frauds"] >= 5
    assert metrics["auc"] > 0.7
    assert metrics["average_precision"] > 3 * metrics["frauds"] / metrics["rows"]
    assert 0 < metrics["recall_at_1_percent_false_positives"] <= 1
    assert 0 < metrics["card_precision_at_100"] < 1
    assert metrics["expected_calibration_error"] < 0.1
    assert 0.2 < metrics["mean_probability_to_prevalence"] < 5


def test_the_manifest_says_what_the_model_is(
    settings: Config, names: list[str], trained: tuple[str, dict[str, Any]]
) -> None:
    text, manifest = trained

    assert manifest["features"] == names
    assert manifest["config_version"] == settings.version
    assert manifest["trees"] == 12
    assert manifest["engine"] == "kernel"
    assert manifest["fit"]["tree_count"] == 12
    assert manifest["calibration"]["slope"] > 0
    assert [len(manifest["usual"][side]) for side in ("low", "high")] == [len(names)] * 2
    window = manifest["window"]
    assert window["train"]["last_ms"] < window["calibration"]["first_ms"]
    assert window["calibration"]["last_ms"] + 2 * DAY_MS <= window["test"]["first_ms"]
    assert Model.from_text("v", text).feature_names == tuple(names)


def test_the_same_history_gives_the_same_model(
    settings: Config, trained: tuple[str, dict[str, Any]]
) -> None:
    seen: list[int] = []

    again = train(*small.folded(settings), settings, on_tree=seen.append)

    assert again == trained
    assert seen == list(range(1, 13))


def test_a_feature_that_never_has_a_value_is_no_obstacle(settings: Config) -> None:
    features, labels, times, accounts = small.folded(settings)
    features[:, 2] = np.nan

    text, manifest = train(features, labels, times, accounts, settings)

    written = ModelDirectory(settings.model).add("7.0.0", text, manifest)
    loaded = ModelDirectory(settings.model).load("7.0.0")
    assert np.isnan(written.manifest["usual"]["low"][2])
    assert np.isnan(serving_model(loaded, manifest["features"]).usual.low[2])


def test_a_stored_model_serves(
    settings: Config, names: list[str], trained: tuple[str, dict[str, Any]]
) -> None:
    models = ModelDirectory(settings.model)
    models.add("1.0.0", *trained)

    serving = prepare_model(settings, _unheard, stream=False).serving

    assert serving.version == "1.0.0"
    assert serving.usual.low.shape == (len(names),)
    assert serving.calibration.slope == trained[1]["calibration"]["slope"]


def test_where_the_champion_cannot_be_read_the_newest_version_that_can_stands_in_for_it(
    settings: Config, trained: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    settings = replace(settings, model=ModelParams(directory=str(tmp_path)))
    models = ModelDirectory(settings.model)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        models.add(version, *trained)
    (tmp_path / "1.2.0" / "model.txt").write_text("tree")

    found = prepare_model(settings, _unheard, stream=False)

    assert (found.serving.version, found.artifact.version) == ("1.1.0", "1.1.0")
    assert "model 1.2.0" in found.why
    assert "does not have the manifest's SHA-256" in found.why
    status = Status(settings, Metrics(), "1.1.0", 0.0, substitute="1.1.0", substitute_why="damaged")
    assert status.health() == Health(
        "starting", ("connecting", "model 1.1.0 stands in for the champion: damaged")
    )
    status.model_version = "1.3.0"  # as the registry has it
    assert status.health() == Health("starting", ("connecting",))

    pinned = replace(settings, model=replace(settings.model, version="1.2.0"))
    with pytest.raises(ModelError, match=r"model 1\.2\.0: .*SHA-256"):
        prepare_model(pinned, _unheard, stream=False)
    for version in ("1.0.0", "1.1.0"):
        (tmp_path / version / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"model 1\.2\.0: .*SHA-256"):
        prepare_model(settings, _unheard, stream=False)


def _unheard(what: str, share: float) -> None:
    """Nobody looks at the progress."""


def test_without_a_model_nothing_serves(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no model in"):
        prepare_model(small.config(tmp_path), _unheard, stream=False)


def test_a_model_for_other_features_is_refused(
    names: list[str], trained: tuple[str, dict[str, Any]]
) -> None:
    artifact = Artifact("1.0.0", *trained)

    with pytest.raises(ModelError, match=r"other features than .* declares: \['new'\]"):
        serving_model(artifact, [*names, "new"])
    with pytest.raises(ModelError, match="declares: in another order"):
        serving_model(artifact, names[::-1])
    with pytest.raises(ModelError, match="declares: "):
        serving_model(artifact, names[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibration": None}, "unusable manifest"),
        ({"calibration": {"slope": -1.0}}, "unusable manifest: a calibration needs a finite slope"),
        ({"calibration": {"slope": "x"}}, "unusable manifest"),
        ({"calibration": {"steepness": 1.0}}, "unusable manifest"),
        ({"usual": {}}, "unusable manifest"),
        ({"usual": {"low": [1.0], "high": [1.0]}}, "usual ranges do not match its features"),
        ({"usual": {"low": ["x"], "high": [1.0]}}, "unusable manifest"),
        ({"features": None}, "other features"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(
    names: list[str], trained: tuple[str, dict[str, Any]], change: dict[str, Any], message: str
) -> None:
    text, manifest = trained

    with pytest.raises(ModelError, match=message):
        serving_model(Artifact("1.0.0", text, manifest | change), names)


def test_a_text_that_is_not_the_manifests_is_refused(
    names: list[str], trained: tuple[str, dict[str, Any]]
) -> None:
    text, manifest = trained
    renamed = text.replace("hour", "minute")

    with pytest.raises(ModelError, match=r"model\.txt names other features than its manifest"):
        serving_model(Artifact("1.0.0", renamed, manifest), names)
    with pytest.raises(ModelError):
        serving_model(Artifact("1.0.0", text[: len(text) // 2], manifest), names)


def test_training_params_default_to_a_week_of_delay() -> None:
    assert TrainingParams().label_delay == "7d"
