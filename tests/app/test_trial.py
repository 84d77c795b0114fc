"""The process of a trial: what it answers, and that its end is an answer, too."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.config import Config
from sentinel.engine.deployment.trial import TrialParams, trial_of
from sentinel.errors import ConfigError, ModelError
from sentinel.operations.models import imports
from sentinel.operations.models.given import Origin
from sentinel.serving_model import check_golden, serving_model
from tests.app import small

ORIGIN = Origin("model.txt", by_position=False, trained_until_ms=5)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small.config(tmp_path)


@pytest.fixture
def file(tmp_path: Path, config: Config) -> Path:
    rng = default_rng(1)
    names = [feature.name for feature in config.features]
    features = rng.normal(size=(1000, len(names)))
    data = lightgbm.Dataset(features, features[:, 0] > 1, feature_name=names)
    told = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    lightgbm.train(told, data, 5).save_model(tmp_path / "mine.txt")
    return tmp_path / "mine.txt"


def made(file: Path, config: Config) -> imports.Imported:
    return imports.try_file(file, file.read_bytes(), ORIGIN, config, file.parent / "small.toml")


def test_a_model_stands_its_trial_in_a_process_of_its_own(file: Path, config: Config) -> None:
    found = made(file, config)

    assert found.artifact.text == file.read_text()
    assert found.tried["engine"] == "kernel"
    assert 0 < found.tried["row_ms"] <= found.tried["batch_ms"]
    serving = serving_model(found.artifact, [feature.name for feature in config.features])
    check_golden(serving, found.artifact.manifest)
    version = replace(found.artifact, version="1.0.0")
    version = replace(version, manifest={**version.manifest, "version": "1.0.0"})
    assert imports.try_version(version, config, file.parent / "small.toml")["engine"] == "kernel"


def test_a_refusal_names_the_file_and_nothing_in_it_acts_on_a_terminal(
    file: Path, config: Config
) -> None:
    file.write_bytes(file.read_bytes().replace(b"hour", b"ho\x1b[31mur"))

    with pytest.raises(ConfigError) as refusal:
        made(file, config)

    assert str(refusal.value).startswith(f"{file}: reads ho\\x1b[31mur, which [[features]] does")


def test_a_trial_that_takes_too_long_is_a_refusal(file: Path, config: Config) -> None:
    short = replace(config, trial=TrialParams(timeout_s=0.001))

    with pytest.raises(ConfigError, match=r"did not stand its trial within 0\.001 s"):
        made(file, short)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -SEGV $$", "the process was ended by SIGSEGV"),
        ("echo MemoryError >&2; exit 1", "MemoryError"),
        ("exit 3", "exit code 3"),
        ("exit 0", "exit code 0"),
    ],
)
def test_however_the_process_ends_it_is_a_refusal(
    script: str, reason: str, file: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = file.parent / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(fake))

    with pytest.raises(ConfigError, match=f"did not stand its trial: {reason}"):
        made(file, config)


def test_a_size_that_is_not_there_asks_for_no_memory(file: Path, config: Config) -> None:
    text = file.read_text().replace("max_feature_idx=5", "max_feature_idx=2000000000")
    file.write_text(text)

    with pytest.raises(ConfigError, match="feature_names holds 6 names, max_feature_idx is 2000"):
        made(file, config)


@pytest.mark.parametrize("limit", ["row_ms_max", "batch_ms_max"])
def test_a_model_that_is_too_slow_is_refused(limit: str, file: Path, config: Config) -> None:
    """By a clock that goes on by a tenth of a second with each look at it."""
    given = made(file, config).artifact
    names = [feature.name for feature in config.features]
    looks = iter(range(1_000))
    unlimited = TrialParams(row_ms_max=0.0, batch_ms_max=0.0)

    found = trial_of(given, names, unlimited, clock_s=lambda: next(looks) * 0.1)

    assert found.row_ms == pytest.approx(100)
    assert found.batch_ms == pytest.approx(100)
    bound = (
        replace(unlimited, row_ms_max=99.0)
        if limit == "row_ms_max"
        else replace(unlimited, batch_ms_max=99.0)
    )
    with pytest.raises(ModelError, match=r"takes 100 ms to score .* than \[trial\] allows"):
        trial_of(given, names, bound, clock_s=lambda: next(looks) * 0.1)


def test_scores_that_differ_from_their_makers_are_refused(file: Path, config: Config) -> None:
    given = made(file, config).artifact
    names = [feature.name for feature in config.features]
    model = serving_model(given, names).model

    def other(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raw = np.nextafter(model.raw_scores(rows), np.inf)
        return raw, model.scores_of(raw)

    with pytest.raises(ModelError, match="is scored otherwise here than where it was made, in 512"):
        trial_of(given, names, config.trial, clock_s=time.perf_counter, reference=other)
