"""`sentinel models import` of a file, on a real broker and a real store."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams
from sentinel.operations.stores import open_models
from sentinel.serving_model import check_golden, serving_model
from sentinel.stored.versions import Artifact, RegistryState
from tests.app import small
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    monkeypatch.chdir(tmp_path)
    small.config_file(tmp_path)
    return Folder(kafka_params, redis_params, ("models",))


def kept(folder: Folder, version: str) -> Artifact:
    async def main() -> Artifact:
        async with open_models(replace(folder.redis, key_prefix=folder.name)) as store:
            return await store.load(version)

    return asyncio.run(main())


def registry_state_of(folder: Folder) -> RegistryState:
    async def main() -> RegistryState:
        async with open_models(replace(folder.redis, key_prefix=folder.name)) as store:
            return await store.registry_state()

    return asyncio.run(main())


def save_model(path: Path, names: list[str], **params: object) -> lightgbm.Booster:
    """Trained on the features of the simulated history, or on noise where they are others."""
    config = small.config(path.parent)
    declared = [feature.name for feature in config.features]
    features, labels, *_ = small.folded(config)
    at = [declared.index(name) if name in declared else 0 for name in names]
    data = lightgbm.Dataset(features[:6000, at], labels[:6000], feature_name=names)
    told = {"objective": "binary", "verbosity": -1, "num_threads": 1, **params}
    booster = lightgbm.train(told, data, 15)
    booster.save_model(path)
    return booster


def save_history(path: Path) -> None:
    """A line of JSON for each transaction, its label in it."""
    lines = [
        json.dumps({**json.loads(value), "is_fraud": bool(is_fraud)})
        for value, is_fraud in small.flat()
    ]
    path.write_text("\n".join(lines) + "\n")


def test_a_file_by_itself_is_staged_unmeasured_and_serves_as_it_was_made(folder: Folder) -> None:
    names = ["terminal_risk_7d", "amount", "hour"]
    booster = save_model(Path("mine.txt"), names)

    lines = folder.said("import", "mine.txt", "--who", "ann").splitlines()

    assert lines[0].startswith("LightGBM, 15 trees over 6 features, columns by name; ")
    assert lines[1] == "it does not read account_count_7d, account_mean_7d, account_fraud_count_7d"
    assert lines[2].startswith("unmeasured: its own probabilities count as they are")
    assert lines[3:] == ["1.0.0 is in the registry", "1.0.0 is in staging"]
    declared = [feature.name for feature in small.config(Path.cwd()).features]
    given = kept(folder, "1.0.0")
    serving = serving_model(given, declared)
    check_golden(serving, given.manifest)
    rows = default_rng(1).normal(size=(500, len(declared)))
    score = serving.score(serving.model.raw_scores(rows))
    assert np.array_equal(score, booster.predict(rows[:, [declared.index(n) for n in names]]))
    assert "imported, unmeasured" in folder.said("list")
    (found,) = map(json.loads, folder.said("list", "--json").splitlines())
    assert (found["is_measured"], found["metrics"]) == (False, None)
    shown = folder.said("show", "1.0.0")
    assert shown.startswith("1.0.0: staging, challenger, unmeasured")
    assert "mine.txt" in shown


def test_a_history_calibrates_and_measures_it(folder: Folder) -> None:
    save_model(Path("mine.txt"), ["amount", "terminal_risk_7d"], scale_pos_weight=20.0)
    save_history(Path("history.jsonl"))

    said = folder.said("import", "mine.txt", "--history", "history.jsonl", "--as", "3.1.0")

    assert "3.1.0 on " in said
    assert "expected calibration error" in said
    given = kept(folder, "3.1.0")
    metrics, window = given.manifest["metrics"], given.manifest["window"]
    assert metrics["auc"] > 0.6
    assert 0.5 < metrics["mean_probability_to_prevalence"] < 2.0
    assert window["test"]["rows"] == metrics["rows"]
    assert given.manifest["trained_until_ms"] < window["calibration"]["first_ms"]
    assert "unmeasured" not in folder.said("list")
    refusal = folder.refusal(
        "import", "mine.txt", "--history", "history.jsonl", "--label-column", "fraud"
    )
    assert "fraud" in refusal
    assert list(registry_state_of(folder).stages) == ["3.1.0"]


def test_the_next_number_follows_from_the_champion(folder: Folder) -> None:
    names = [feature.name for feature in small.config(Path.cwd()).features]
    save_model(Path("mine.txt"), names)
    save_model(Path("wide.txt"), names, num_leaves=90, min_data_in_leaf=2)
    folder.said("import", "mine.txt")
    folder.said("promote", "1.0.0", "--why", "the first")

    folder.said("import", "mine.txt")
    said = folder.said("import", "wide.txt")

    assert list(registry_state_of(folder).stages) == ["1.0.0", "1.1.0", "2.0.0"], (
        "another engine is major"
    )
    assert "LightGBM scores it, as the kernel cannot: tree 0 has" in said
    again = folder.refusal("import", "mine.txt", "--as", "1.1.0")
    assert again.startswith("version 1.1.0 cannot be registered: it is in staging already")


def test_what_is_refused_leaves_nothing_behind(folder: Folder) -> None:
    names = [feature.name for feature in small.config(Path.cwd()).features]
    save_model(Path("linear.txt"), names, linear_tree=True)
    Path("model.onnx").write_bytes(b"\x08\x08\x12\x08skl2onnx\x1a\x061.17.0")

    linear = folder.refusal("import", "linear.txt")
    onnx = folder.refusal("import", "model.onnx")

    assert linear.startswith("linear.txt: has no contributions of its features, so that no alert")
    assert onnx.startswith("model.onnx: is an ONNX model")
    assert folder.refusal("import", "linear.txt", "--as", "one").startswith("--as must be a vers")
    assert "is not a time" in folder.refusal("import", "linear.txt", "--trained-until", "noon")
    assert registry_state_of(folder) == RegistryState()
    assert folder.published("model-updates") == []


def test_a_version_with_its_manifest_is_tried_as_well(folder: Folder) -> None:
    small.add_model(Path.cwd())
    path = Path("models/1.0.0/manifest.json")
    manifest = json.loads(path.read_bytes())
    manifest["golden"]["score"][0] = 0.5
    path.write_text(json.dumps(manifest))

    refusal = folder.refusal("import", "1.0.0")

    assert refusal == "model 1.0.0: gives another score here than where it was made"
    assert registry_state_of(folder) == RegistryState()
