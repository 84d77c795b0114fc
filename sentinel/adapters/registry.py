"""Model versions in a directory: LightGBM's text and a manifest, each version written once.

{directory}/{version}/model.txt        LightGBM's own format
{directory}/{version}/manifest.json    what it is, how good, and the SHA-256 of model.txt
{directory}/champion                   the version that serves
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel.codec.records import decode_object, encode_pretty
from sentinel.core.registry.transitions import next_version
from sentinel.errors import ConfigError, ModelError, RecordError
from sentinel.stored.versions import VERSION, Artifact


@dataclass(frozen=True, slots=True)
class ModelParams:
    """Where model versions are kept."""

    directory: str = ".sentinel/models"
    version: str = ""  # serve this one; empty: the champion

    def __post_init__(self) -> None:
        if not self.directory:
            raise ValueError("directory must not be empty")
        if self.version and not VERSION.fullmatch(self.version):
            raise ValueError(f'version must look like "1.2.0", got "{self.version}"')


class ModelDirectory:
    """Immutable versions and a champion pointer. Reads and writes files: call it off the loop."""

    def __init__(self, params: ModelParams) -> None:
        self._root = Path(params.directory)
        self._wanted = params.version

    def versions(self) -> list[str]:
        """All versions, oldest first."""
        if not self._root.is_dir():
            return []
        names = [path.name for path in self._root.iterdir() if VERSION.fullmatch(path.name)]
        return sorted(names, key=lambda name: [int(part) for part in name.split(".")])

    def champion(self) -> str | None:
        """The version that should serve; None when there is no model yet. Raises ConfigError."""
        if self._wanted:
            return self._wanted
        pointer = self._root / "champion"
        try:
            return pointer.read_bytes().decode().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{pointer}: cannot be read: {error}") from error

    def load(self, version: str) -> Artifact:
        """One version, whole. Raises ModelError when anything is missing or was changed."""
        if not VERSION.fullmatch(version):
            raise ModelError(version, "is not a version such as 1.2.0")
        return read_folder(self._root / version, version)

    def free_version(self, features: Sequence[str]) -> str:
        """Minor for the features of the newest version, major for others."""
        versions = self.versions()
        newest = versions[-1] if versions else None
        try:
            told = None if newest is None else self.load(newest).manifest.get("features")
        except ModelError:
            told = None
        return next_version(versions, newest, "minor" if told == list(features) else "major")

    def add(self, version: str, text: str, manifest: dict[str, Any]) -> Artifact:
        """Write a version, whole or not at all, and make it the champion."""
        assert VERSION.fullmatch(version), version
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        whole = {"version": version, "sha256": sha256, **manifest}
        artifact = Artifact(version, text, whole)
        self.keep(artifact)
        pointer = self._root / ".champion"
        try:
            _write(pointer, f"{version}\n".encode())
            pointer.rename(self._root / "champion")
        except OSError as error:
            raise ConfigError(f"cannot write {self._root / 'champion'}: {error}") from error
        return artifact

    def keep(self, artifact: Artifact) -> None:
        """Write a version, whole or not at all, and leave the champion as it is."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._root, prefix=".writing-") as name:
                folder = Path(name) / artifact.version
                folder.mkdir()
                _write_pair(folder, artifact.text.encode(), artifact.manifest)
                folder.rename(self._root / artifact.version)
        except OSError as error:
            raise ConfigError(
                f"cannot write model {artifact.version} to {self._root}: {error}"
            ) from error


def read_folder(folder: Path, version: str) -> Artifact:
    """The version in one folder. Raises ModelError when anything is missing or was changed."""
    try:
        manifest = decode_object((folder / "manifest.json").read_bytes())
        data = (folder / "model.txt").read_bytes()
    except (OSError, RecordError) as error:
        raise ModelError(version, f"cannot be read from {folder}: {error}") from error
    if hashlib.sha256(data).hexdigest() != manifest.get("sha256"):
        raise ModelError(version, f"{folder / 'model.txt'} does not have the manifest's SHA-256")
    try:
        return Artifact(version, data.decode(), manifest)
    except UnicodeDecodeError as error:
        raise ModelError(version, f"{folder / 'model.txt'} is no UTF-8: {error}") from error


def version_of(folder: Path) -> str:
    """Which version a folder says it holds. Raises ConfigError."""
    path = folder / "manifest.json"
    try:
        version = decode_object(path.read_bytes()).get("version")
    except (OSError, RecordError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ConfigError(f"{path}: has no version such as 1.2.0")
    return version


def write_folder(folder: Path, artifact: Artifact) -> None:
    """A version as `read_folder` reads it. Raises ConfigError, also when one is there already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any((folder / name).exists() for name in ("model.txt", "manifest.json")):
            raise ConfigError(f"{folder}: there is a model already, name another folder")
        _write_pair(folder, artifact.text.encode(), artifact.manifest)
    except OSError as error:
        raise ConfigError(f"cannot write model {artifact.version} to {folder}: {error}") from error


def _write_pair(folder: Path, data: bytes, manifest: dict[str, Any]) -> None:
    _write(folder / "model.txt", data)
    _write(folder / "manifest.json", encode_pretty(manifest))


def _write(path: Path, data: bytes) -> None:
    """Write and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
