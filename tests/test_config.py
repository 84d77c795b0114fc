"""Settings: the file that documents them, what the environment may do, and every message."""

import math
import tomllib
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from sentinel import config as configuration
from sentinel.adapters.archive import ArchiveParams
from sentinel.config import SECRETS, Config
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.learning.gate.judging import GateParams
from sentinel.errors import ConfigError

REFERENCE = Path(__file__).parent.parent / "config" / "sentinel.toml"
STREAM = REFERENCE.parent / "stream.toml"
PROFILES = sorted(set(REFERENCE.parent.glob("*.toml")) - {STREAM})

# They describe the user's data; the file shows an example, not the defaults.
EXAMPLES = {"schema", "entities", "features"}

MINIMAL = """
[[features]]
name = "amount"
stat = "amount"
"""


def loaded(tmp_path: Path, text: str | bytes, **environment: str) -> Config:
    path = tmp_path / "my.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return configuration.load(path, environment)


def refusal(tmp_path: Path, text: str | bytes, **environment: str) -> str:
    """The message, which always names the file and is one line."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **environment)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'my.toml'}: ")
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / 'my.toml'}: ")


def default(kind: Any, name: str) -> Any:
    (one,) = (f for f in fields(kind) if f.name == name)
    return one.default_factory() if one.default_factory is not MISSING else one.default


def as_toml(value: Any) -> Any:
    """A default as it would stand in the file."""
    if isinstance(value, tuple):
        return [as_toml(item) for item in value]
    if isinstance(value, dict):
        return {key: as_toml(item) for key, item in value.items()}
    return value


def same(written: Any, meant: Any) -> bool:
    if isinstance(meant, float) and math.isnan(meant):
        return isinstance(written, float) and math.isnan(written)
    return type(written) is type(meant) and bool(written == meant)


def compare(kind: Any, table: dict[str, Any], where: str, *, values: bool) -> None:
    """The table has every key of the dataclass, no other, and (if asked) each default."""
    secret = {key for section, key in SECRETS if section == where}
    assert table.keys() == {f.name for f in fields(kind)} - secret, where
    for name, hint in get_type_hints(kind).items():
        if name in secret:
            continue
        if is_dataclass(hint):
            compare(hint, table[name], f"{where}.{name}", values=values)
        elif values:
            expected = as_toml(default(kind, name))
            assert same(table[name], expected), f"{where}.{name}: {table[name]} is not {expected}"


def test_the_reference_file_has_every_key_and_its_default() -> None:
    table = tomllib.loads(REFERENCE.read_text())

    sections = get_type_hints(Config)
    assert table.keys() == sections.keys() - {"version"}
    for name, kind in sections.items():
        if is_dataclass(kind):
            compare(kind, table[name], name, values=name not in EXAMPLES)
    for entity, values in table["entities"].items():
        compare(EntityParams, values, f"entities.{entity}", values=False)


def test_the_reference_file_names_every_key_of_a_feature() -> None:
    text = REFERENCE.read_text()
    comment = text[text.index("# The features, in the order") : text.index("[[features]]\nname")]

    for field in fields(FeatureParams):
        assert field.name in comment, field.name


def test_the_reference_file_says_why_of_every_section() -> None:
    table = tomllib.loads(REFERENCE.read_text())

    assert REFERENCE.read_text().count("#") > len(table) * 2


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_every_profile_loads(path: Path) -> None:
    assert configuration.load(path, {}).features


def test_without_a_file_the_reference_is_in_force_but_for_what_the_stream_needs() -> None:
    builtin, reference = configuration.load(None, {}), configuration.load(REFERENCE, {})

    differing = {
        f"{section}.{name}"
        for section, values in tomllib.loads(STREAM.read_text()).items()
        for name in values
    }
    assert builtin != reference
    assert differing == {
        "maturity.horizon_min_s",
        "archive.interval_s",
        "archive.examples_interval_s",
        "updates.triggers",
        "policy.explore_share",
        "policy.explore_amount_minor_max",
        "learning.gate_fraud_count",
        "drift.step",
        "rollouts.steps",
    }
    without = replace(
        builtin,
        maturity=reference.maturity,
        archive=reference.archive,
        updates=reference.updates,
        drift=reference.drift,
        rollouts=reference.rollouts,
        policy=reference.policy,
        learning=reference.learning,
        version=reference.version,
    )
    assert repr(without) == repr(reference), "as texts: what is not a number equals nothing"
    assert builtin.learning.gate == GateParams(), "no gate is easier for being watched"


def test_the_environment_goes_over_what_the_stream_needs(tmp_path: Path) -> None:
    assert (
        configuration.load(None, {"SENTINEL__ARCHIVE__INTERVAL_S": "7"}).archive.interval_s == 7.0
    )
    assert loaded(tmp_path, MINIMAL).archive.interval_s == ArchiveParams().interval_s


def test_the_least_that_works_is_one_feature(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)

    assert config.entities == {"account": EntityParams()}
    assert config.kafka == Config(features=config.features).kafka


def test_an_entity_is_declared_in_one_place(tmp_path: Path) -> None:
    text = """
        [schema]
        entities = { shop = "s", device = "d", unused = "u" }
        [entities.device]
        events_max = 32
        [[features]]
        name = "shop_count"
        stat = "count"
        entity = "shop"
        window = "1d"
        """

    config = loaded(tmp_path, text)

    assert config.entities == {
        "account": EntityParams(),
        "device": EntityParams(events_max=32),
        "shop": EntityParams(),
    }


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL + "[kafka]\ngroup_id = 'file'\nclient_id = 'file'",
        SENTINEL__KAFKA__GROUP_ID="fraud",
        SENTINEL__ENGINE__BATCH_COUNT_MAX="64",
        SENTINEL__ENGINE__POLL_TIMEOUT_S="1",
        SENTINEL__KAFKA__IDEMPOTENCE="false",
        SENTINEL__SCHEMA__NUMERIC='["distance"]',
        SENTINEL__TRAINING__FIT__TREE_COUNT="7",
        SENTINEL__MODEL__VERSION="1.2.0",
        SENTINEL__TOPICS__PREFIX="",
        SENTINEL__ENTITIES__ACCOUNT__EVENTS_MAX="32",
        SENTINEL__POLICY__RECOMMENDED__LOW='["wait"]',
        PATH="/bin",
        SENTINEL_HOME="/",
    )

    assert (config.kafka.group_id, config.kafka.client_id) == ("fraud", "file")
    assert config.engine.batch_count_max == 64
    assert config.engine.poll_timeout_s == 1.0
    assert config.kafka.idempotence is False
    assert config.schema.numeric == ("distance",)
    assert config.training.fit.tree_count == 7
    assert config.model.version == "1.2.0"
    assert config.topics.prefix == ""
    assert config.entities["account"].events_max == 32
    assert config.policy.recommended == {"low": ("wait",)}


@pytest.mark.parametrize(("section", "key"), sorted(SECRETS))
def test_a_secret_comes_from_the_environment_only_and_as_it_is(
    tmp_path: Path, section: str, key: str
) -> None:
    name = f"SENTINEL__{section}__{key}".upper()

    config = loaded(tmp_path, MINIMAL, **{name: "1234"})

    assert getattr(getattr(config, section), key) == "1234"
    assert "1234" not in repr(config)
    assert config.version == loaded(tmp_path, MINIMAL).version
    message = refusal(tmp_path, MINIMAL + f"[{section}]\n{key} = 'x'")
    assert message == f"[{section}] {key}: secrets come from {name} only"


def test_the_version_is_that_of_what_is_in_force(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    version, count = config.version, config.engine.batch_count_max

    assert len(version) == 12
    said = f"# the default, said\n[engine]\nbatch_count_max = {count}"
    assert loaded(tmp_path, said + MINIMAL).version == version
    other = f"[engine]\nbatch_count_max = {count + 1}"
    assert loaded(tmp_path, other + MINIMAL).version != version
    assert loaded(tmp_path, MINIMAL, SENTINEL__POLICY__BLOCK_MIN="0.7").version != version


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SENTINEL__KAFKA", "SENTINEL__KAFKA: expected SENTINEL__SECTION__KEY"),
        ("SENTINEL__", "SENTINEL__: expected SENTINEL__SECTION__KEY"),
        ("SENTINEL__CAFKA__GROUP_ID", "unknown sections ['cafka']; known: ['archive', "),
        ("SENTINEL__KAFKA__GROUPID", "[kafka] has unknown keys ['groupid']; known: ["),
        ("SENTINEL__FEATURES__X__Y", "SENTINEL__FEATURES__X__Y: features is not a section"),
        ("SENTINEL__KAFKA__GROUP_ID__X", "[kafka] group_id must be a text, got {'x': '5'}"),
        (
            "SENTINEL__ENGINE__ON_GAP",
            "[engine] on_gap must be one of ['fail', 'earliest'], got '5'",
        ),
        ("SENTINEL__KAFKA__IDEMPOTENCE", "[kafka] idempotence must be true or false, got 5"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, message: str) -> None:
    assert refusal(tmp_path, MINIMAL, **{name: "5"}).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[cafka]",
            "unknown sections ['cafka']; known: ['archive', 'consensus', 'deployment', ",
        ),
        ("version = 'x'", "unknown sections ['version']"),
        ("kafka = 5", "[kafka] must be a table"),
        ("redis = 'password'", "[redis] must be a table"),
        ("engine = 5", "[engine] must be a table"),
        ("entities = 5", "[entities] must be a table"),
        ("[entities]\naccount = 5", "[entities.account] must be a table"),
        ("[kafka]\ngroup = 'x'", "[kafka] has unknown keys ['group']; known: ["),
        ("[kafka]\ngroup_id = 5", "[kafka] group_id must be a text, got 5"),
        ("[engine]\nbatch_count_max = '5'", "[engine] batch_count_max must be a whole number, got"),
        ("[engine]\nbatch_count_max = 5.0", "[engine] batch_count_max must be a whole number, got"),
        ("[engine]\nbatch_count_max = true", "[engine] batch_count_max must be a whole number"),
        ("[engine]\nbatch_count_max = 0", "[engine] batch_count_max must be in 1..65536, got 0"),
        ("[engine]\npoll_timeout_s = 'x'", "[engine] poll_timeout_s must be a number, got 'x'"),
        ("[engine]\npoll_timeout_s = false", "[engine] poll_timeout_s must be a number, got False"),
        ("[engine]\ndelivery = 'twice'", "[engine] delivery must be one of ['at_least_once', "),
        ("[engine]\ndelivery = 'exactly_once'", '[engine] delivery = "exactly_once" needs a'),
        (
            '[engine]\ndelivery = "exactly_once"\ncommit_interval_s = 2\n'
            '[kafka]\nbootstrap_servers = "k:1"\ntransaction_timeout_s = 3',
            "[kafka] transaction_timeout_s must be at least twice [engine] commit_interval_s",
        ),
        ("[kafka]\ntransaction_timeout_s = 0", "[kafka] transaction_timeout_s must be in 1..900"),
        ("[kafka]\nidempotence = 1", "[kafka] idempotence must be true or false, got 1"),
        ("[kafka]\ncompression = 'x'", "[kafka] compression must be one of ['none', 'gzip', "),
        ("[schema]\nnumeric = 'x'", "[schema] numeric must be a list, got 'x'"),
        ("[schema]\nnumeric = [5]", "[schema] numeric must be a text, got 5"),
        ("[schema]\nentities = ['x']", "[schema.entities] must be a table"),
        ("[schema]\nentities = { m = 5 }", "[schema] entities must be a text, got 5"),
        ("[schema]\nevent_time_format = 'x'", "[schema] event_time_format must be one of ['rfc"),
        ("[schema]\nnumeric = ['amount']", "[schema] fields are mapped twice: ['amount']"),
        ("[training]\nfit = 5", "[training.fit] must be a table"),
        ("[training.fit]\ntrees = 5", "[training.fit] has unknown keys ['trees']; known: ["),
        ("[training.fit]\ntree_count = 0", "[training.fit] tree_count must be in 1..10000, got 0"),
        ("[training]\ntest = 'x'", '[training] duration "x" must be a whole number and one of s'),
        ("[policy]\nreview_min = 0.9", "[policy] expected 0 < review_min <= block_min <= 1"),
        ("[policy.recommended]\nlow = 'x'", "[policy] recommended must be a list, got 'x'"),
        ("[policy.recommended]\nx = []", "[policy] recommended has unknown severities ['x']; know"),
        ("[model]\nversion = '../x'", '[model] version must look like "1.2.0", got "../x"'),
        ("[entities.shop]", "[entities] ['shop'] are not in [schema]; known: ['account']"),
        ("[entities.account]\nkind = 'x'", "[entities.account] kind must be one of ['events', 'ti"),
        ("[topics]\nalerts = 'decisions'", "[topics] topics need different names, got ["),
    ],
)
def test_a_wrong_setting_is_named_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    assert refusal(tmp_path, text + MINIMAL).startswith(message)


@pytest.mark.parametrize(("days", "is_enough"), [(30, False), (37, True)])
def test_the_store_must_keep_what_features_look_back_on(
    tmp_path: Path, days: int, is_enough: bool
) -> None:
    text = (
        f"[redis]\nstate_ttl_s = {days * 86_400}.0\n[[features]]\nname = 'x'\nstat = 'fraud_share'"
        "\nentity = 'account'\nwindow = '30d'\ndelay = '7d'\n"
    )
    if is_enough:
        assert loaded(tmp_path, text).history_ms == 37 * 86_400_000
    else:
        words = "[redis] state_ttl_s is 2.592e+06, features look back 3.1968e+06 seconds"
        assert refusal(tmp_path, text).startswith(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "[[features]] is empty: a model needs at least one feature"),
        ("features = 5", "[[features]] must be a list of tables, each begun by [[features]]"),
        ("[features]\nname = 'x'", "[[features]] must be a list of tables"),
        ("features = [5]", "[features #1] must be a table"),
        ("[[features]]\nstat = 'amount'", "[features #1] a feature needs a name"),
        ("[[features]]\nname = 'x'", "[features #1] x: stat \"\" must be one of ['amount', "),
        ("[[features]]\nname = 'x'\nstat = []", "[features #1] stat must not be an empty list"),
        ("[[features]]\nname = 'x'\nstat = 'hour'\nfoo = 1", "[features #1] has unknown keys ['fo"),
        ("[[features]]\nname = 'a b'\nstat = 'hour'", '[[features]] "a b": name must hold no blan'),
        ("[[features]]\nname = 'a,b'\nstat = 'hour'", '[[features]] "a,b": name must hold no'),
        (
            "[[features]]\nname = 'x'\nstat = 'count'\nentity = 'shop'\nwindow = '1d'",
            '[[features]] "x": entity "shop" must be one of [\'account\']',
        ),
        (
            "[[features]]\nname = 'x'\nstat = 'count'\nentity = 'account'",
            '[features #1] x: stat "count" needs a window, such as "1d"',
        ),
        (
            "[[features]]\nname = 'x'\nstat = 'value'\nfield = 'distance'",
            '[[features]] "x": field "distance" must be one of []',
        ),
        (
            "[[features]]\nname = 'x'\nstat = 'category'\nfield = 'distance'\nvalues = ['a']\n"
            "[schema]\nnumeric = ['distance']\ncategorical = ['country']",
            '[[features]] "x": field "distance" must be one of [\'country\']',
        ),
        (
            "[[features]]\nname = 'x'\nstat = 'distinct'\nfield = 'distance'\nentity = 'account'\n"
            "window = '1d'\n[schema]\nnumeric = ['distance']\nentities = { shop = 's' }",
            "[[features]] \"x\": field \"distance\" must be one of ['account', 'shop']",
        ),
        (
            "[[features]]\nname = 'x'\nstat = 'quotient'\nof = ['x', 'y']",
            "[[features]] \"x\": of names ['x', 'y'], which no feature before it is called",
        ),
        (
            "[[features]]\nname = 'x'\nstat = 'hour'\n" * 2,
            "[[features]] names are used twice: ['x']",
        ),
        (
            "[[features]]\nname = 'x'\nstat = ['hour', 'night']",
            "[[features]] names are used twice: ['x']",
        ),
    ],
)
def test_a_wrong_feature_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_lists_of_stats_and_windows_stand_for_a_feature_each(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """
        [[features]]
        name = "a_{stat}_{window}"
        entity = "account"
        stat = ["count", "mean"]
        window = ["1d", "7d"]
        [[features]]
        name = "{stat}"
        stat = "hour"
        """,
    )

    assert [(f.name, f.stat, f.window) for f in config.features] == [
        ("a_count_1d", "count", "1d"),
        ("a_mean_1d", "mean", "1d"),
        ("a_count_7d", "count", "7d"),
        ("a_mean_7d", "mean", "7d"),
        ("hour", "hour", ""),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"kafka = ", "is not TOML: "),
        (b"a = 1\na = 2", "is not TOML: "),
        (b"\xff\xfe", "cannot be read: 'utf-8' codec"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match=f"{path}: cannot be read"):
            configuration.load(path, {})


def test_a_mark_of_the_byte_order_is_no_part_of_a_file(tmp_path: Path) -> None:
    marked = loaded(tmp_path, b"\xef\xbb\xbf" + MINIMAL.encode())
    assert marked.version == loaded(tmp_path, MINIMAL).version
