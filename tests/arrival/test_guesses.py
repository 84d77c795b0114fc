"""What columns are taken for, by what they are called and what they hold."""

import tomllib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel import config as configuration
from sentinel.codec.values.seen import ColumnForm
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations.arrival.answers import Answers, UnansweredError, said_entities
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.arrival.inputs import input_of
from sentinel.operations.arrival.proposal import Proposal, proposal
from sentinel.operations.arrival.writing import config_of, toml_of

COUNT = 60


def look(**columns: Sequence[Any]) -> Look:
    """A file with these columns; a value that is no sequence of texts is written as one."""
    made = tuple(
        FileColumn(name, [None if value is None else str(value) for value in values])
        for name, values in columns.items()
    )
    return Look("rows.csv", made, len(made[0].values))


def plain(**more: Sequence[Any]) -> Look:
    """A file with what a transaction must have, and more."""
    columns: dict[str, Sequence[Any]] = {
        "transaction_id": [f"T{i}" for i in range(COUNT)],
        "event_time": [f"2026-03-{1 + i // 3:02}T{i % 24 // 8:02}:00:00Z" for i in range(COUNT)],
        "account": [f"A{i % 9}" for i in range(COUNT)],
        "amount": [f"{i}.25" for i in range(COUNT)],
        "is_fraud": [int(i % 10 == 0) for i in range(COUNT)],
    }
    return look(**(columns | more))


def proposed(seen: Look, **answers: Any) -> Proposal:
    return proposal(seen, Answers(**answers))


def config(found: Proposal) -> Config:
    return config_of(found, toml_of(found))


def asked(found: Proposal) -> set[str]:
    return {question.flag for question in found.questions}


def use(name: str, values: Sequence[Any]) -> str:
    found = proposed(plain(**{name: values}))
    return next(one.use for one in found.inputs if one.column.name == name)


def test_a_file_that_says_everything_leaves_nothing_to_ask() -> None:
    found = proposed(plain())

    assert asked(found) == set()
    schema = config(found).schema
    assert (schema.transaction_id, schema.event_time) == ("transaction_id", "event_time")
    assert (schema.account, schema.amount) == ("account", "amount")
    assert config(found).training.label_column == "is_fraud"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("country", ["DE", "FR", None], "category"),
        ("mcc", [5411, 5412, 5999], "category"),
        ("distance", [1.5, 2.5, 3.5], "number"),
        ("card_present", ["Y", "N"], "boolean"),
        ("has_pin", [1, 0], "boolean"),
        ("retries", [0, 1], "number"),
        ("merchant_id", range(30), "entity"),
        ("device", [f"D{i}" for i in range(30)], "entity"),
        ("device_os", ["ios", "android"], "category"),
        ("merchant_category", ["food", "fuel"], "category"),
        ("note", [f"text {i}" for i in range(COUNT)], "ignored"),
        ("first_name", ["Ada", "Bo"], "ignored"),
        ("email", [f"{i}@example.org" for i in range(COUNT)], "ignored"),
        ("sex", ["f", "m"], "ignored"),
        ("chargeback_reason", ["a", "b"], "ignored"),
        ("is_blocked", [1, 0], "ignored"),
        ("balance_after", [1.5, 2.5], "ignored"),
        ("currency", ["EUR"], "ignored"),
        ("empty", [None], "ignored"),
        ("settled_at", ["2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"], "ignored"),
        ("row", range(COUNT), "ignored"),
        ('a "quoted" name', [1, 2], "ignored"),
    ],
)
def test_a_column_is_used_by_its_name_and_its_values(
    name: str, values: Sequence[Any], expected: str
) -> None:
    repeated = [values[i % len(values)] for i in range(COUNT)]

    assert use(name, repeated) == expected


def test_what_tells_frauds_by_itself_is_no_input() -> None:
    count = 400
    labels = [int(i % 10 == 0) for i in range(count)]
    is_fraud = FileColumn("is_fraud", [str(one) for one in labels]).numbers
    tells = FileColumn("kind", ["bad" if one else "good" for one in labels])
    helps = FileColumn(
        "kind", ["bad" if one and i % 20 else "good" for i, one in enumerate(labels)]
    )

    assert input_of(tells, is_fraud).use == "ignored"
    assert "tells frauds by itself" in input_of(tells, is_fraud).why
    assert input_of(helps, is_fraud).use == "category"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1_772_366_400 + i for i in range(COUNT)], "epoch_s"),
        ([1_772_366_400_000 + i for i in range(COUNT)], "epoch_ms"),
        ([1_772_366_400_000_000 + i for i in range(COUNT)], "epoch_us"),
        ([1_772_366_400_000_000_000 + i * 1_000 for i in range(COUNT)], "epoch_ns"),
        (range(COUNT), "steps"),
        ([f"2026-03-01 12:00:{i:02}" for i in range(COUNT)], "rfc3339"),
    ],
)
def test_a_time_is_known_by_its_size_or_its_look(values: Sequence[Any], expected: str) -> None:
    schema = config(proposed(plain(event_time=values))).schema

    assert schema.event_time_format == expected


def test_times_without_an_offset_are_asked_for_unless_another_column_tells() -> None:
    texts = [f"2026-03-01 12:00:{i:02}" for i in range(COUNT)]
    known = [1_772_366_400 + i for i in range(COUNT)]

    assert asked(proposed(plain(event_time=texts))) == {"--zone"}
    assert asked(proposed(plain(event_time=texts, unix=known))) == set()
    shifted = [one + 3_600 for one in known]
    assert asked(proposed(plain(event_time=texts, unix=shifted))) == {"--zone"}
    berlin = config(proposed(plain(event_time=texts), zone="Europe/Berlin")).schema
    assert berlin.event_time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "step", "is_asked"),
    [("step", "1h", True), ("month", "30d", False), ("Time", "1s", True), ("days", "1d", False)],
)
def test_a_counter_takes_its_step_from_its_name_and_its_origin_from_a_person(
    name: str, step: str, is_asked: bool
) -> None:
    seen = plain(**{name: [i // 4 for i in range(COUNT)]})
    seen = Look(seen.file_name, tuple(c for c in seen.columns if c.name != "event_time"), COUNT)

    found = proposed(seen)

    assert found.time.step == step
    assert asked(found) == {"--origin", *({"--step"} if is_asked else ())}
    answered = proposed(seen, step="1h", origin="2026-01-01T00:00:00Z")
    assert asked(answered) == set()
    assert config(answered).schema.event_time_origin == "2026-01-01T00:00:00Z"


def test_whole_amounts_are_asked_for_and_three_decimals_are_kept() -> None:
    whole = proposed(plain(amount=range(COUNT)))
    cents = proposed(plain(amount=range(COUNT)), amount_format="minor")
    named = plain(amount_cents=[i * 7 for i in range(COUNT)])
    named = Look("rows.csv", tuple(c for c in named.columns if c.name != "amount"), COUNT)

    assert asked(whole) == {"--amount-format"}
    assert config(cents).schema.amount_format == "minor"
    assert asked(proposed(named)) == set()
    assert proposed(named).amount_format == "minor"
    assert proposed(plain(amount=[f"{i}.125" for i in range(COUNT)])).amount_decimals == 3


def test_negative_amounts_are_asked_for_and_currencies_are_noted() -> None:
    refunds = plain(amount=[f"{i - 5}.25" for i in range(COUNT)])
    mixed = plain(currency=[("EUR", "JPY")[i % 2] for i in range(COUNT)])

    assert asked(proposed(refunds)) == {"--negative-amounts"}
    assert config(proposed(refunds)).schema.negative_amounts == "zero"
    signed = proposed(refunds, negative_amounts="signed")
    assert config(signed).schema.negative_amounts == "signed"
    [note] = [note for note in proposed(mixed).notes if "currencies" in note]
    assert note.startswith("currency names 2 currencies")
    for values in (("EUR",), ("ABC", "XYZ"), ("EUR", "euro")):  # one alone, and what is none
        others = proposed(plain(ccy=[values[i % len(values)] for i in range(COUNT)]))
        assert not any("currencies" in note for note in others.notes)
    assert proposed(plain()).negative_amounts == ""


def nested(prefix: str) -> Look:
    """The plain file, with its fields in objects as a change record has them."""
    names = {"account": "card.id", "amount": "payment.amount", "transaction_id": "id"}
    columns = tuple(
        FileColumn(prefix + names.get(one.name, one.name), one.values) for one in plain().columns
    )
    old = tuple(FileColumn("before." + one.name[len(prefix) :], one.values) for one in columns)
    return Look("rows.jsonl", (*old, *columns), COUNT)


@pytest.mark.parametrize("prefix", ["", "after.", "payload.after."])
def test_a_path_is_taken_for_what_its_end_says(prefix: str) -> None:
    found = proposed(nested(prefix))

    schema = config(found).schema
    assert schema.transaction_id == f"{prefix}id"
    assert schema.event_time == f"{prefix}event_time"
    assert (schema.account, schema.amount) == (f"{prefix}card.id", f"{prefix}payment.amount")
    assert config(found).training.label_column == f"{prefix}is_fraud"
    old = [one for one in found.inputs if one.column.name.startswith("before.")]
    assert {(one.use, one.why) for one in old} == {("ignored", "is of before the change")}
    said = proposed(nested(prefix), amount="before.payment.amount")
    assert said.amount.name == "before.payment.amount"


def test_an_entity_is_named_by_the_end_of_its_path() -> None:
    shops = [f"M{i % 30}" for i in range(COUNT)]
    found = proposed(plain(**{"payload.merchant.id": shops, "data.terminal_id": shops}))

    assert config(found).schema.entities == {
        "merchant": "payload.merchant.id",
        "terminal": "data.terminal_id",
    }


def test_of_a_path_and_a_field_on_its_way_only_one_is_taken() -> None:
    numbers = [i % 9 + 0.5 for i in range(COUNT)]
    found = proposed(
        plain(**{"fee": numbers, "fee.tax": numbers, "amount.tax": numbers, "x.y": numbers})
    )

    assert config(found).schema.numeric == ("fee", "x.y")
    left = {one.column.name: one.why for one in found.inputs if one.use == "ignored"}
    assert left == dict.fromkeys(
        ("fee.tax", "amount.tax"), "its name and another one are path and field"
    )


def test_what_is_called_just_account_or_amount_is_it_whatever_it_holds() -> None:
    found = proposed(plain(account=["A"] * COUNT, amount=[-1.5] * COUNT))

    assert found.account.column is not None
    assert (found.account.column.name, found.amount.name) == ("account", "amount")
    assert asked(found) == {"--negative-amounts"}


def test_without_an_account_a_row_stands_for_it_and_nothing_is_counted() -> None:
    found = proposed(plain(merchant=[f"M{i % 25}" for i in range(COUNT)]), account="none")

    made = config(found)
    assert made.schema.row_numbers == (made.schema.account,)
    assert made.schema.account not in {column.name for column in found.look.columns}
    assert all(feature.entity != "account" for feature in made.features)
    assert any(feature.entity == "merchant" for feature in made.features)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"time": "x"}, '--time: rows.csv has no column "x"'),
        ({"time": "account"}, "--time: account holds values such as ['A0', 'A1', 'A2']"),
        ({"amount": "account"}, "--amount: account holds values such as"),
        ({"label": "noise"}, "--label: noise holds values such as"),
        ({"account": "noise"}, "--account: noise holds values such as"),
        ({"ignored": ("x",)}, 'has no column "x"'),
        ({"time": "index", "step": "long"}, "--step: duration"),
        ({"time": "index", "step": "0s"}, '--step: "0s" is no time at all'),
        ({"time": "index", "origin": "then"}, "--origin: "),
        ({"amount_format": "large"}, '--amount-format: "large" must be one of'),
        ({"time": "naive", "zone": "Nowhere/City"}, "--zone: "),
    ],
)
def test_an_answer_that_does_not_fit_is_named(answers: dict[str, Any], message: str) -> None:
    naive = [f"2026-03-01 12:00:{i:02}" for i in range(COUNT)]
    noise = [f"{i}.5" for i in range(COUNT)]
    seen = plain(index=range(COUNT), naive=naive, noise=noise)
    if "amount_format" in answers:
        seen = plain(amount=range(COUNT))

    with pytest.raises(ConfigError) as caught:
        config(proposed(seen, **answers))

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [(["shop"], "NAME=COLUMN"), (["account=x"], "NAME=COLUMN"), (["a=b", "a=c"], "each name once")],
)
def test_an_entity_is_said_with_its_name(pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        said_entities(pairs)


@pytest.mark.parametrize("lacking", ["event_time", "amount"])
def test_what_nobody_can_guess_is_asked_for_even_of_who_says_yes(lacking: str) -> None:
    seen = plain()
    seen = Look("rows.csv", tuple(c for c in seen.columns if c.name != lacking), COUNT)

    with pytest.raises(UnansweredError) as caught:
        proposed(seen)

    flag = {"event_time": "--time", "amount": "--amount"}[lacking]
    assert caught.value.question.flag == flag
    assert str(caught.value).endswith(f"say it with {flag}")


KNOWN = (
    "amount amt event_time step month Time unix_time account card1 customer_id merchant device "
    "label is_fraud isFraud Class id transaction_id type zip name event_time_ms hour"
)
NAMES = st.one_of(st.sampled_from(KNOWN.split(" ")), st.text(max_size=12))
TEXTS = st.one_of(
    st.none(),
    st.integers(-(10**18), 10**18).map(str),
    st.floats(allow_nan=True).map(str),
    st.sampled_from(
        ["0", "1", "true", "F", "2026-03-01T12:00:00Z", "2026-03-01 12:00:00", "1e400"]
    ),
    st.text(max_size=10),
)


@st.composite
def looks(draw: st.DrawFn) -> Look:
    """Any frame of columns; each holds one kind of values, or all kinds."""
    count = draw(st.integers(1, 12))
    names = draw(st.lists(NAMES, min_size=1, max_size=9, unique=True))
    forms: st.SearchStrategy[ColumnForm] = st.sampled_from(get_args(ColumnForm))
    columns = []
    for name in names:
        kind = draw(
            st.sampled_from(
                [
                    TEXTS,
                    st.integers(0, 50).map(str),
                    st.floats(0, 100).map(str),
                    st.sampled_from(["0", "1"]),
                    st.integers(1_772_366_400, 1_772_900_000).map(str),
                ]
            )
        )
        values = draw(st.lists(kind, min_size=count, max_size=count))
        if draw(st.booleans()):
            values = sorted(values, key=lambda text: (text is None, text or ""))
        form: ColumnForm = draw(forms) if draw(st.integers(0, 4)) == 0 else "any"
        columns.append(FileColumn(name, values, form))
    return Look("rows.csv", tuple(columns), draw(st.integers(count, 10**6)))


@settings(max_examples=300, deadline=None)
@given(looks())
def test_any_file_gives_a_configuration_that_loads_or_one_sentence(seen: Look) -> None:
    with suppress(UnansweredError):  # what no file may lack
        found = proposal(seen, Answers())
        made = config_of(found, toml_of(found))
        # As texts: what is not a number equals nothing.
        assert repr(made) == repr(configuration.build(tomllib.loads(toml_of(found))))
        _assert_is_of(made, seen)


def _assert_is_of(made: Config, seen: Look) -> None:
    names = {column.name for column in seen.columns}
    of_rows = set(made.schema.row_numbers)
    assert {name for name, _ in made.schema.columns} <= names | of_rows
    assert of_rows.isdisjoint(names)
    assert made.training.label_column not in {name for name, _ in made.schema.columns}
