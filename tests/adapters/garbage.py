"""What a worker may give in the place of an explanation; test_pool's workers import this."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from sentinel.records import Floats


def others_rows(_version: str, _text: str | None, features: Floats) -> object:
    return features[1:]


def with_expectation(_version: str, _text: str | None, features: Floats) -> object:
    return np.zeros((len(features), features.shape[1] + 1))


def a_text(_version: str, _text: str | None, _features: Floats) -> object:
    return "tree"


def nothing(_version: str, _text: str | None, _features: Floats) -> object:
    return None


def not_a_number(_version: str, _text: str | None, features: Floats) -> object:
    return np.full_like(features, np.nan)


def infinite(_version: str, _text: str | None, features: Floats) -> object:
    return np.full_like(features, np.inf)


def objects(_version: str, _text: str | None, features: Floats) -> object:
    return features.astype(object)


def unpicklable(_version: str, _text: str | None, _features: Floats) -> object:
    return lambda: 1


def raised(_version: str, _text: str | None, _features: Floats) -> object:
    raise IndexError("of a bug")


def left(_version: str, _text: str | None, _features: Floats) -> object:
    sys.exit(1)


def no_memory(_version: str, _text: str | None, _features: Floats) -> object:
    raise MemoryError


GARBAGE: dict[Callable[..., Any], str] = {
    others_rows: r"its contributions are \(4, 3\), not \(5, 3\)",
    with_expectation: r"its contributions are \(5, 4\)",
    a_text: "its contributions are str",
    nothing: "its contributions are NoneType",
    not_a_number: "are not all numbers",
    infinite: "are not all numbers",
    objects: "are not all numbers",
    unpicklable: "local object",
    raised: "IndexError: of a bug",
    left: "SystemExit: 1",
    no_memory: "not enough memory",
}


def dies(_version: str, _text: str) -> str:
    os._exit(3)


def dies_once(version: str, text: str) -> str:
    """The text is the path of a file that says whether one has died."""
    if not os.path.exists(text):
        with open(text, "w"):
            os._exit(3)
    return version


def hangs(_version: str, _text: str) -> str:
    time.sleep(60.0)
    return ""
