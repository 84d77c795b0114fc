"""A version on its way into the registry: tried in a process of its own, then taken in."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sentinel.codec.models.artifacts import TEXT_BYTES_MAX
from sentinel.config import Config
from sentinel.errors import ConfigError, ModelError
from sentinel.operations.models import registry as models
from sentinel.operations.models import trial
from sentinel.operations.models.given import Origin, Past
from sentinel.stored.versions import Artifact


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file: a version without a number, and what its trial found."""

    artifact: Artifact
    tried: dict[str, Any]


def read_file(path: Path) -> bytes:
    """The bytes of a file with a model. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            return file.read(TEXT_BYTES_MAX + 1)  # one more is refused for its length
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def try_file(
    path: Path,
    data: bytes,
    origin: Origin,
    config: Config,
    config_file: Path | None,
    past: Past | None = None,
) -> Imported:
    """A version of a file, which has stood its trial. Raises ConfigError, which says why not."""
    with TemporaryDirectory(prefix="sentinel-trial-") as name:
        folder = Path(name)
        trial.put_file(folder, data, origin)
        if past is not None:
            trial.put_history(folder, past)
        try:
            answer = trial.stand(folder, config_file, config.trial)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        return Imported(trial.made_version(folder), answer["tried"])


def try_version(given: Artifact, config: Config, config_file: Path | None) -> dict[str, Any]:
    """What the trial of a version with its manifest found. Raises ModelError."""
    with TemporaryDirectory(prefix="sentinel-trial-") as name:
        trial.put_version(Path(name), given)
        try:
            answer = trial.stand(Path(name), config_file, config.trial)
        except ValueError as error:
            raise ModelError(given.version, str(error)) from error
    tried: dict[str, Any] = answer["tried"]
    return tried


async def under_number(found: Imported, config: Config, version: str) -> Artifact:
    """The version under its number: the one that is wanted, or the next."""
    artifact = found.artifact
    version = version or await models.free_version(config, artifact.manifest)
    return replace(artifact, version=version, manifest={**artifact.manifest, "version": version})
