"""Gathers every Params dataclass: a TOML file and the environment become one Config."""

import copy
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from sentinel.adapters.archive import ArchiveParams
from sentinel.adapters.http import HttpParams
from sentinel.adapters.kafka import EMBEDDED, KafkaParams
from sentinel.adapters.pool import PoolParams, WorkerParams
from sentinel.adapters.redis import RedisParams
from sentinel.adapters.registry import ModelParams
from sentinel.codec.monitoring.log_lines import LoggingParams
from sentinel.codec.schema import SchemaParams
from sentinel.codec.values.settings import Variable, section, table_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.decision import PolicyParams
from sentinel.core.drift.params import DriftParams, segmentation_of
from sentinel.core.experiments.params import ExperimentParams
from sentinel.core.fallback import FallbackParams
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import layout_of, row_bytes
from sentinel.core.learning.maturity import MaturityParams
from sentinel.core.learning.params import TrainingParams
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.deployment.champion import DeploymentParams
from sentinel.engine.deployment.trial import TrialParams
from sentinel.engine.feedback.task import FeedbackParams
from sentinel.engine.params import EngineParams, TopicParams
from sentinel.engine.rollouts.quiet_hours import QuietHours
from sentinel.engine.updates.params import UpdateParams
from sentinel.errors import ConfigError
from sentinel.learner.params import LearningParams

T = TypeVar("T")

ENVIRONMENT_PREFIX = "SENTINEL__"
STREAM_PROFILE = "stream"  # of the built-in stream: in force where no file is given

# Secrets have no place in a file that is committed: only the environment may set them.
SECRETS = frozenset({("kafka", "sasl_password"), ("redis", "password"), ("experiments", "secret")})

# The account is always there: partitions, reasons and the order of records hang on it.
DEFAULT_ENTITIES = {"account": EntityParams()}

_TABLE_BYTES_MAX = 2**40

# LightGBM separates names by blanks in its text, and refuses what would need escaping in JSON.
_FEATURE_NAME = re.compile(r'[^\s",:\[\]{}]+')


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set, checked. One field a section."""

    schema: SchemaParams = field(default_factory=SchemaParams)
    entities: dict[str, EntityParams] = field(default_factory=lambda: dict(DEFAULT_ENTITIES))
    features: tuple[FeatureParams, ...] = ()
    policy: PolicyParams = field(default_factory=PolicyParams)
    kafka: KafkaParams = field(default_factory=KafkaParams)
    redis: RedisParams = field(default_factory=RedisParams)
    topics: TopicParams = field(default_factory=TopicParams)
    engine: EngineParams = field(default_factory=EngineParams)
    feedback: FeedbackParams = field(default_factory=FeedbackParams)
    consensus: ConsensusParams = field(default_factory=ConsensusParams)
    archive: ArchiveParams = field(default_factory=ArchiveParams)
    maturity: MaturityParams = field(default_factory=MaturityParams)
    pool: PoolParams = field(default_factory=PoolParams)
    model: ModelParams = field(default_factory=ModelParams)
    trial: TrialParams = field(default_factory=TrialParams)
    deployment: DeploymentParams = field(default_factory=DeploymentParams)
    learning: LearningParams = field(default_factory=LearningParams)
    updates: UpdateParams = field(default_factory=UpdateParams)
    drift: DriftParams = field(default_factory=DriftParams)
    experiments: ExperimentParams = field(default_factory=ExperimentParams)
    rollouts: RolloutParams = field(default_factory=RolloutParams)
    trainer: WorkerParams = field(default_factory=WorkerParams)
    training: TrainingParams = field(default_factory=TrainingParams)
    fallback: FallbackParams = field(default_factory=FallbackParams)
    # Of one instance and not of what it decides: not part of the version.
    http: HttpParams = field(default_factory=HttpParams, repr=False)
    logging: LoggingParams = field(default_factory=LoggingParams, repr=False)
    version: str = ""  # of the effective settings: part of every decision

    def __post_init__(self) -> None:
        kinds = {"account", *self.schema.entities}
        if unknown := sorted(self.entities.keys() - kinds):
            raise ValueError(f"[entities] {unknown} are not in [schema]; known: {sorted(kinds)}")
        names = [feature.name for feature in self.features]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"[[features]] names are used twice: {doubled}")
        if not self.features:
            raise ValueError("[[features]] is empty: a model needs at least one feature")
        if self.engine.delivery == "exactly_once":
            self._check_transactions()
        for i, feature in enumerate(self.features):
            self._check_feature(feature, before=names[:i])
        if self.training.label_column in [name for name, _ in self.schema.columns]:
            raise ValueError("[training] label_column is a field of [schema]: it may be no input")
        self._check_state()
        self._check_lifetime()
        self._check_quiet_hours()
        segmentation_of(self.features, self.drift)
        for kind, params in self.entities.items():
            if params.entities_max < 2 * self.engine.batch_count_max:
                raise ValueError(
                    f"[entities.{kind}] entities_max must be at least twice "
                    f"[engine] batch_count_max ({self.engine.batch_count_max})"
                )

    @property
    def history_ms(self) -> int:
        """How far back features look: their longest window, with its delay."""
        return max((f.window_ms + f.delay_ms for f in self.features), default=0)

    def _check_state(self) -> None:
        """Whether the state of every entity can be laid out, and held."""
        layout_of(self.entities, self.features)
        for kind, size in row_bytes(self.entities, self.features, self.schema.recent_ids).items():
            whole = size * self.entities[kind].entities_max
            if whole > _TABLE_BYTES_MAX:
                raise ValueError(
                    f"[entities.{kind}] {size:,} bytes for each of entities_max are "
                    f"{whole / 2**30:,.0f} GiB of memory, at most {_TABLE_BYTES_MAX / 2**30:,.0f}"
                )

    def _check_lifetime(self) -> None:
        """Whether the store keeps what features look back on."""
        if self.redis.state_ttl_s * 1000 < self.history_ms:
            raise ValueError(
                f"[redis] state_ttl_s is {self.redis.state_ttl_s:g}, features look back "
                f"{self.history_ms / 1000:g} seconds: what they count would be forgotten before"
            )

    def _check_quiet_hours(self) -> None:
        try:
            QuietHours.of(self.rollouts)
        except ValueError as error:
            raise ValueError(f"[rollouts] {error}") from error

    def _check_transactions(self) -> None:
        """Whether the broker can keep a transaction open from one commit to the next."""
        if self.kafka.bootstrap_servers == EMBEDDED:
            raise ValueError(
                '[engine] delivery = "exactly_once" needs a cluster that knows transactions; '
                "the embedded broker does not"
            )
        if self.kafka.transaction_timeout_s < 2 * self.engine.commit_interval_s:
            raise ValueError(
                "[kafka] transaction_timeout_s must be at least twice [engine] commit_interval_s"
            )

    def _check_feature(self, feature: FeatureParams, *, before: Sequence[str]) -> None:
        """Whether what a feature refers to is declared."""
        schema = self.schema
        hashable = {"account", *schema.entities, *schema.categorical}
        allowed = {
            "distinct": hashable,
            "first_seen": hashable,
            "value": {*schema.numeric, *schema.boolean},
            "category": set(schema.categorical),
        }
        where = f'[[features]] "{feature.name}"'
        if not _FEATURE_NAME.fullmatch(feature.name):
            raise ValueError(f'{where}: name must hold no blanks and none of " , : [ ] {{ }}')
        if feature.name in (schema.transaction_id, "event_time_ms"):
            raise ValueError(f"{where}: a column that `sentinel features` writes has that name")
        if feature.entity and feature.entity not in self.entities:
            raise ValueError(
                f'{where}: entity "{feature.entity}" must be one of '
                f"{sorted({*self.entities, *schema.entities})}"
            )
        if missing := [name for name in feature.of if name not in before]:
            raise ValueError(f"{where}: of names {missing}, which no feature before it is called")
        if feature.field and feature.field not in allowed[feature.stat]:
            raise ValueError(
                f'{where}: field "{feature.field}" must be one of {sorted(allowed[feature.stat])}'
            )


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, before anything is made of it.

    Attributes
    ----------
    table
        What the file says; of the built-in profile with what the built-in stream needs over it.
    environment
        Its variables go over the file.
    """

    path: Path
    table: Mapping[str, Any]
    environment: Mapping[str, str]

    def config(self) -> Config:
        """One over the other, checked. Raises ConfigError, which names the file."""
        table = copy.deepcopy(dict(self.table))
        try:
            override(table, self.environment)
            return build(table)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """Read a file, let the environment override it, check it all.

    None reads the built-in profile, and over it what the built-in stream needs otherwise. Raises
    ConfigError, which names the file, the section, the key and what is allowed.
    """
    return read(path, environment).config()


def read(path: Path | None, environment: Mapping[str, str] | None = None) -> Written:
    """What `load` makes a configuration of. Raises ConfigError, also of a secret in the file."""
    is_builtin = path is None
    path = path or profile_path("sentinel")
    table = _read(path)
    if is_builtin:
        _put_over(table, _read(profile_path(STREAM_PROFILE)))
    for name, key in SECRETS:
        if isinstance(found := table.get(name), dict) and key in found:
            variable = f"{ENVIRONMENT_PREFIX}{name}__{key}".upper()
            raise ConfigError(f"{path}: [{name}] {key}: secrets come from {variable} only")
    return Written(path, table, os.environ if environment is None else environment)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _put_over(table: dict[str, Any], other: Mapping[str, Any]) -> None:
    """The keys of another table over those of this one, section by section."""
    for name, value in other.items():
        if isinstance(value, dict) and isinstance(table.get(name), dict):
            _put_over(table[name], value)
        else:
            table[name] = value


def profile_path(name: str) -> Path:
    """A profile that comes with Sentinel: beside the code when installed, else in the checkout."""
    installed = Path(__file__).parent / "profiles" / f"{name}.toml"
    return (
        installed if installed.is_file() else Path(__file__).parents[1] / "config" / f"{name}.toml"
    )


def override(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Put SENTINEL__SECTION__KEY=value into the table; values are TOML, or else plain text."""
    for name, text in environment.items():
        parts = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if len(parts) < 2:
            raise ConfigError(f"{name}: expected {ENVIRONMENT_PREFIX}SECTION__KEY")
        section = table
        for part in parts[:-1]:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{name}: {part} is not a section")
        secret = (parts[0], parts[-1]) in SECRETS
        section[parts[-1]] = text if secret else Variable(text)


def build(table: Mapping[str, Any]) -> Config:
    """One Config from a parsed file. Raises ConfigError, in one line whatever was written there."""
    try:
        return _built(table)
    except ConfigError as error:
        text = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error))
        raise ConfigError("".join(text)) from error


def _built(table: Mapping[str, Any]) -> Config:
    hints = get_type_hints(Config)
    known = {f.name for f in fields(Config)} - {"version"}
    if unknown := sorted(table.keys() - known):
        raise ConfigError(f"unknown sections {unknown}; known: {sorted(known)}")
    sections: dict[str, Any] = {}
    for name in known & table.keys():
        if name == "entities":
            sections[name] = {
                kind: section(EntityParams, values, name=f"entities.{kind}")
                for kind, values in table_of(table[name], "entities").items()
            }
            sections[name] = DEFAULT_ENTITIES | sections[name]
        elif name == "features":
            sections[name] = _features(table[name])
        else:
            sections[name] = section(hints[name], table[name], name=name)
    sections["entities"] = _entities(
        sections.get("entities", DEFAULT_ENTITIES),
        sections.get("schema", SchemaParams()),
        sections.get("features", ()),
    )
    try:
        config = Config(**sections)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return versioned(config)


def versioned(config: Config) -> Config:
    """The configuration with the version of what it says now."""
    config = replace(config, version="")
    # Secrets have no part in the text of their sections.
    return replace(config, version=hashlib.sha256(repr(config).encode()).hexdigest()[:12])


def _entities(
    tuned: Mapping[str, EntityParams], schema: SchemaParams, features: Sequence[FeatureParams]
) -> dict[str, EntityParams]:
    """Those of [entities], and with its defaults each other of the schema that a feature needs."""
    needed = {feature.entity for feature in features} - tuned.keys()
    return {**tuned, **{kind: EntityParams() for kind in schema.entities if kind in needed}}


def _features(rows: Any) -> tuple[FeatureParams, ...]:
    """Declared features; a list of windows or of stats stands for one feature each.

    In the name {window} and {stat} are replaced.
    """
    if not isinstance(rows, list):
        raise ConfigError("[[features]] must be a list of tables, each begun by [[features]]")
    found = []
    for i, row in enumerate(rows):
        where = f"features #{i + 1}"
        table = table_of(row, where)
        stats, windows = (
            _many(table.get(key, ""), f"[{where}] {key}") for key in ("stat", "window")
        )
        for window in windows:
            for stat in stats:
                name = (
                    str(table.get("name", "")).replace("{window}", window).replace("{stat}", stat)
                )
                one = {**table, "name": name, "stat": stat}
                if window:
                    one["window"] = window
                found.append(section(FeatureParams, one, name=where))
    return tuple(found)


def _many(value: Any, where: str) -> list[str]:
    if value == []:
        raise ConfigError(f"{where} must not be an empty list")
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
