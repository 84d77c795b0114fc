"""A model that somebody brings, tried: a version with its manifest, or one trained elsewhere."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sentinel.adapters.registry import ModelDirectory, read_folder, version_of
from sentinel.cli.data.folding import labelled, metrics_table
from sentinel.cli.progress import progress_bar
from sentinel.cli.texts import PlainConsole, echo
from sentinel.codec.times import epoch_ms
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations.models import imports
from sentinel.operations.models.given import Origin, Past
from sentinel.operations.models.registry import now_ms
from sentinel.stored.versions import VERSION, Artifact


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What is said of a file with a model; nothing of it fits a version with its manifest."""

    version: str = ""
    history: Path | None = None
    label_column: str | None = None
    by_position: bool = False
    trained_until: str = ""


def tried_version(
    what: str, folder: Path | None, options: FileOptions, config: Config, config_file: Path | None
) -> tuple[Artifact, str]:
    """A version that has stood its trial, and where it is from: a file, the directory, a folder."""
    file = _file_of(what, folder)
    if file is not None:
        return _from_file(file, config, config_file, options), str(file)
    if options != FileOptions():
        raise ConfigError(
            "--as, --history, --label-column, --by-position and --trained-until belong to a "
            "file with a model; a version comes with its manifest"
        )
    given, source = _with_manifest(what, folder, config)
    imports.try_version(given, config, config_file)
    return given, source


def _file_of(what: str, folder: Path | None) -> Path | None:
    """The file with a model that is meant, if one is."""
    if folder is not None or not what:
        return None
    if Path(what).is_file():
        return Path(what)
    if not VERSION.fullmatch(what):
        raise ConfigError(
            f"{what}: there is no such file, and it is no version such as 1.2.0; "
            "a folder with model.txt and manifest.json is named with --file"
        )
    return None


def _with_manifest(what: str, folder: Path | None, config: Config) -> tuple[Artifact, str]:
    if folder is not None:
        folder = folder.parent if folder.name == "model.txt" else folder
        given = read_folder(folder, version_of(folder))
        if what and what != given.version:
            raise ConfigError(f"{folder} holds version {given.version}, not {what}")
        return given, str(folder)
    if not what:
        raise ConfigError(
            "name a file with a model, a version of model.directory, or a folder with --file"
        )
    return ModelDirectory(config.model).load(what), str(Path(config.model.directory) / what)


def _from_file(
    file: Path, config: Config, config_file: Path | None, options: FileOptions
) -> Artifact:
    if options.version and not VERSION.fullmatch(options.version):
        raise ConfigError(f'--as must be a version such as 1.2.0, got "{options.version}"')
    until_ms = _time_ms(options.trained_until)
    data = imports.read_file(file)
    origin = Origin(file.name, options.by_position, now_ms() if until_ms is None else until_ms)
    found = imports.try_file(file, data, origin, config, config_file)
    if options.history is not None:
        past = _past(options.history, config, options.label_column)
        # Whoever measures it on a history says that it has not seen that.
        since_ms = int(past.times_ms[0]) if until_ms is None else until_ms
        origin = Origin(file.name, options.by_position, since_ms)
        found = imports.try_file(file, data, origin, config, config_file, past)
    given = asyncio.run(imports.under_number(found, config, options.version))
    _say(given, found.tried)
    return given


def _past(file: Path, config: Config, label_column: str | None) -> Past:
    """Features of a history, by the code that scores."""
    with progress_bar(PlainConsole(stderr=True)) as progress:
        known = labelled(file, config, label_column, progress)
    _, codes = np.unique(np.array(known.accounts), return_inverse=True)
    return Past(
        known.features,
        known.labels,
        known.times_ms,
        codes.astype(np.int64),
        known.history.refusals.count,
    )


def _time_ms(text: str) -> int | None:
    if not text:
        return None
    at_ms = epoch_ms(text)
    if at_ms is None:
        raise ConfigError(f'"{text}" is not a time such as 2026-03-01T12:00:00Z')
    return at_ms


def _say(given: Artifact, tried: dict[str, Any]) -> None:
    """What the model is, how it is scored, and how good it was."""
    manifest = given.manifest
    source = manifest["source"]
    echo(
        f"{source['kind']}, {manifest['trees']:,} trees over {len(manifest['features'])} features, "
        f"columns {source['columns']}; {tried['row_ms'] * 1000:,.0f} us for one row, "
        f"{tried['batch_ms']:.2g} ms for 512"
    )
    if source["unread"]:
        echo(f"it does not read {', '.join(source['unread'])}")
    if tried["fallback_reason"] is not None:
        echo(f"LightGBM scores it, as the kernel cannot: {tried['fallback_reason']}")
    if manifest["metrics"] is None:
        echo("unmeasured: its own probabilities count as they are; --history calibrates it")
        return
    rows = manifest["window"]["test"]["rows"]
    PlainConsole().print(metrics_table(f"{given.version} on {rows:,} rows", manifest["metrics"]))
