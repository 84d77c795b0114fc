"""Model versions as bytes: LightGBM's text, and a manifest that holds its SHA-256."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import orjson

from sentinel.codec.records import decode_object
from sentinel.errors import ModelError, RecordError
from sentinel.stored.versions import VERSION, Artifact

log = logging.getLogger(__name__)

# A thousand trees of 63 leaves are 7 MB; beyond this a store would hold up everybody else.
TEXT_BYTES_MAX = 128_000_000


def encode_artifact(artifact: Artifact) -> tuple[bytes, bytes]:
    """The text, and the manifest as JSON with the version and the SHA-256 of the text in it.

    Raises ModelError when it cannot be kept.
    """
    if not VERSION.fullmatch(artifact.version):
        raise ModelError(artifact.version, "is not a version such as 1.2.0")
    text = artifact.text.encode()
    if len(text) > TEXT_BYTES_MAX:
        raise ModelError(
            artifact.version,
            f"its text has {len(text):,} bytes, more than the {TEXT_BYTES_MAX:,} that are kept",
        )
    facts = {"version": artifact.version, "sha256": hashlib.sha256(text).hexdigest()}
    return text, orjson.dumps({**artifact.manifest, **facts}, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_artifact(version: str, text: bytes | None, manifest: bytes | None) -> Artifact:
    """What was kept under that version. Raises ModelError when anything is missing or changed."""
    if text is None or manifest is None:
        missing = "text" if text is None else "manifest"
        nothing = text is manifest
        raise ModelError(version, "is not there" if nothing else f"its {missing} is missing")
    facts = decode_manifest(version, manifest)
    if hashlib.sha256(text).hexdigest() != facts.get("sha256"):
        raise ModelError(version, "its text does not have the manifest's SHA-256")
    try:
        return Artifact(version, text.decode(), facts)
    except UnicodeDecodeError as error:
        raise ModelError(version, f"its text is no UTF-8: {error}") from error


def decode_manifest(version: str, manifest: bytes) -> dict[str, Any]:
    """What was kept of that version. Raises ModelError when it is of another one, or no object."""
    try:
        facts = decode_object(manifest)
    except RecordError as error:
        raise ModelError(version, f"its manifest cannot be read: {error.detail}") from error
    if facts.get("version") != version:
        raise ModelError(version, f"its manifest is that of version {facts.get('version')}")
    return facts


def decode_manifests(found: Mapping[str, bytes | None]) -> dict[str, dict[str, Any]]:
    """The manifests of versions; what somebody has damaged is as if it were not."""
    readable = {}
    for version, data in found.items():
        if data is None:
            continue
        try:
            readable[version] = decode_manifest(version, data)
        except ModelError as error:
            log.warning("%s", error)
    return readable


def check_same(version: str, kept: Artifact, text: bytes, manifest: bytes) -> None:
    """Whether a version is what is kept under its number. Raises ModelError."""
    if kept.text.encode() != text:
        raise ModelError(version, "is there already, with another text: a version never changes")
    if kept.manifest != decode_object(manifest):
        raise ModelError(
            version, "is there already, with another manifest: a version never changes"
        )
