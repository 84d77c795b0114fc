"""Model versions in a directory: whole or not at all, and nothing that was changed."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from sentinel.adapters.registry import (
    ModelDirectory,
    ModelParams,
    read_folder,
    version_of,
    write_folder,
)
from sentinel.errors import ConfigError, ModelError

FEATURES = ["amount", "count"]
MANIFEST = {"features": FEATURES, "metrics": {"auc": 0.9}}


def directory(tmp_path: Path, version: str = "") -> ModelDirectory:
    return ModelDirectory(ModelParams(directory=str(tmp_path / "models"), version=version))


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    models = directory(tmp_path)

    written = models.add("1.0.0", "tree é\n", MANIFEST)

    assert models.load("1.0.0") == written
    assert written.text == "tree é\n"
    assert written.manifest["features"] == FEATURES
    assert written.manifest["version"] == "1.0.0"
    assert models.champion() == "1.0.0"


def test_in_the_beginning_there_is_no_model(tmp_path: Path) -> None:
    models = directory(tmp_path)

    assert models.champion() is None
    assert models.versions() == []
    assert models.free_version(FEATURES) == "1.0.0"
    with pytest.raises(ModelError, match=r"model 1\.0\.0: cannot be read"):
        models.load("1.0.0")


def test_the_newest_version_serves_unless_another_is_asked_for(tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        directory(tmp_path).add(version, version, MANIFEST)

    assert directory(tmp_path).champion() == "1.1.0"
    assert directory(tmp_path, "1.0.0").champion() == "1.0.0"
    assert directory(tmp_path).load("1.0.0").text == "1.0.0"


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "2.0.0", "1.2.0"):
        directory(tmp_path).add(version, "", MANIFEST)

    assert directory(tmp_path).versions() == ["1.2.0", "1.9.0", "1.10.0", "2.0.0"]


def test_the_same_features_make_a_minor_version_and_others_a_major_one(tmp_path: Path) -> None:
    models = directory(tmp_path)
    models.add("1.4.0", "", MANIFEST)

    assert models.free_version(FEATURES) == "1.5.0"
    assert models.free_version(FEATURES[::-1]) == "2.0.0"
    assert models.free_version([*FEATURES, "new"]) == "2.0.0"
    (tmp_path / "models" / "1.4.0" / "manifest.json").write_text("{")
    assert models.free_version(FEATURES) == "2.0.0", "nobody knows what its features were"


def test_a_version_is_written_once(tmp_path: Path) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "first", MANIFEST)

    with pytest.raises(ConfigError, match=r"cannot write model 1\.0\.0"):
        models.add("1.0.0", "second", MANIFEST)
    assert models.load("1.0.0").text == "first"


def test_a_model_that_was_changed_is_refused(tmp_path: Path) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "leaf_value=1", MANIFEST)
    (tmp_path / "models" / "1.0.0" / "model.txt").write_text("leaf_value=2")

    with pytest.raises(ModelError, match="does not have the manifest's SHA-256"):
        models.load("1.0.0")


@pytest.mark.parametrize("name", ["model.txt", "manifest.json"])
def test_a_version_without_one_of_its_files_is_refused(tmp_path: Path, name: str) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "text", MANIFEST)
    (tmp_path / "models" / "1.0.0" / name).unlink()

    with pytest.raises(ModelError, match="cannot be read from"):
        models.load("1.0.0")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_manifest_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "text", MANIFEST)
    path = tmp_path / "models" / "1.0.0" / "manifest.json"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    with pytest.raises(ModelError, match="cannot be read from"):
        models.load("1.0.0")


@pytest.mark.parametrize("text", ["[]", "{}", '{"sha256": null}', '{"sha256": 5}'])
def test_a_manifest_without_a_checksum_is_refused(tmp_path: Path, text: str) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "text", MANIFEST)
    (tmp_path / "models" / "1.0.0" / "manifest.json").write_text(text)

    with pytest.raises(ModelError):
        models.load("1.0.0")


@pytest.mark.parametrize(
    "version", ["", "..", "../1.0.0", "1.0", "1.0.0/../2.0.0", "/etc", "a.b.c"]
)
def test_a_version_is_never_a_path(tmp_path: Path, version: str) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "text", MANIFEST)
    (tmp_path / "models" / "champion").write_text(version)

    champion = models.champion()
    assert champion is not None
    with pytest.raises(ModelError, match=r"is not a version such as 1\.2\.0"):
        models.load(champion)
    with pytest.raises(AssertionError):
        models.add(version, "text", MANIFEST)
    if version:
        with pytest.raises(ValueError, match="version must look like"):
            ModelParams(version=version)


def test_the_pointer_is_always_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the rename leaves the old pointer, and a whole version beside it."""
    models = directory(tmp_path)
    models.add("1.0.0", "first", MANIFEST)
    rename = Path.rename

    def crash_at_the_pointer(self: Path, target: Path) -> Path:
        if Path(target).name == "champion":
            raise OSError("no space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crash_at_the_pointer)
    with pytest.raises(ConfigError, match="no space left"):
        models.add("1.1.0", "second", MANIFEST)

    assert models.champion() == "1.0.0"
    assert models.load("1.1.0").text == "second"


def test_a_version_half_written_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = directory(tmp_path)
    monkeypatch.setattr(
        "sentinel.adapters.registry.encode_pretty", lambda manifest: 1 / 0, raising=True
    )

    with pytest.raises(ZeroDivisionError):
        models.add("1.0.0", "text", MANIFEST)

    assert models.versions() == []
    assert list((tmp_path / "models").iterdir()) == [], "nothing is left behind"


def test_a_directory_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file is in the way")

    with pytest.raises(ConfigError, match=r"cannot write model 1\.0\.0 to .*models"):
        directory(tmp_path).add("1.0.0", "text", MANIFEST)
    assert directory(tmp_path).versions() == []


def test_a_pointer_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    models = directory(tmp_path)
    models.add("1.0.0", "text", MANIFEST)
    pointer = tmp_path / "models" / "champion"
    pointer.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="champion: cannot be read"):
        models.champion()

    pointer.unlink()
    pointer.mkdir()
    with pytest.raises(ConfigError, match="champion: cannot be read"):
        models.champion()


def test_a_manifest_is_for_people_too(tmp_path: Path) -> None:
    directory(tmp_path).add("1.0.0", "text", MANIFEST | {"nan": float("nan")})
    text = (tmp_path / "models" / "1.0.0" / "manifest.json").read_text()

    assert json.loads(text)["nan"] is None
    assert text.count("\n") > 5


def test_a_directory_needs_a_name() -> None:
    with pytest.raises(ValueError, match="directory must not be empty"):
        ModelParams(directory="")


def test_a_version_is_written_to_a_folder_and_read_from_it(tmp_path: Path) -> None:
    kept = directory(tmp_path).add("1.0.0", "tree é\n", MANIFEST)

    write_folder(tmp_path / "a" / "b", kept)

    assert version_of(tmp_path / "a" / "b") == "1.0.0"
    assert read_folder(tmp_path / "a" / "b", "1.0.0") == kept
    with pytest.raises(ConfigError, match="there is a model already"):
        write_folder(tmp_path / "a" / "b", kept)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write model 1\.0\.0"):
        write_folder(tmp_path / "file", kept)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": "1.0"}', '{"version": 1}'])
def test_a_folder_that_does_not_say_its_version_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        version_of(tmp_path)
    (tmp_path / "manifest.json").write_text(text)

    with pytest.raises(ConfigError, match=r"cannot be read|has no version such as 1\.2\.0"):
        version_of(tmp_path)


def test_a_text_that_is_none_is_refused_though_its_checksum_is_right(tmp_path: Path) -> None:
    data = b"tree \xff"
    (tmp_path / "model.txt").write_bytes(data)
    (tmp_path / "manifest.json").write_text(json.dumps({"sha256": sha256(data).hexdigest()}))

    with pytest.raises(ModelError, match="is no UTF-8"):
        read_folder(tmp_path, "1.0.0")
