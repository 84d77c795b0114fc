"""What a file with a model holds, by its first bytes: read, or refused by name."""

import codecs
import re

import orjson

from sentinel.codec.models.artifacts import TEXT_BYTES_MAX
from sentinel.codec.models.xgboost import decode_xgboost
from sentinel.core.forest.xgboost import XgboostForest

_AS_TEXT = "save it as text, with booster.save_model(…) or model.booster_.save_model(…)"

# First bytes, what they are the first bytes of, and what to do. ONNX is a message of protocol
# buffers that begins with its version, which is followed by the name of who made it.
_FOREIGN: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), name, advice)
    for pattern, name, advice in (
        (rb"\x08[\x01-\x20](\x12|\x1a|\x22|\x3a|\x42)", "an ONNX model",
         f"import the model that it was made from: {_AS_TEXT}, or XGBoost's as JSON"),
        (rb"CBM1", "a CatBoost model", "its trees are not LightGBM's nor XGBoost's"),
        (rb"\x80[\x02-\x05]", "a pickle", f"reading one could run anything; {_AS_TEXT}"),
        (rb"\x78[\x01\x5e\x9c\xda]", "a compressed pickle of joblib's",
         f"reading one could run anything; {_AS_TEXT}"),
        (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "a compressed file", "unpack it first"),
        (rb"PK\x03\x04", "a zip archive", "unpack it, and name the model in it"),
        (rb"\x89HDF", "an HDF5 file", "only forests of LightGBM and XGBoost are scored"),
        (rb"binf|bs64", "an XGBoost model in its old binary format",
         "save it again as JSON, with booster.save_model('model.json')"),
        (rb"\xff\xfe|\xfe\xff", "a text in UTF-16", "save it as UTF-8"),
        (rb"\s*<\?xml|\s*<PMML", "an XML file, as PMML is", _AS_TEXT),
    )
)  # fmt: skip
_JSON = re.compile(rb"\s*\{")
_XGBOOST = re.compile(rb"\{(\s*\"learner\"|\s*\"version\"\s*:\s*\[|[iUIlL].{1,8}(learner|version))",
                      re.DOTALL)  # fmt: skip
_PANDAS = re.compile(r"^pandas_categorical:(.*)$", re.MULTILINE)
_LIGHTGBM_DUMP = re.compile(rb'"tree_info"|"feature_infos"|"name"\s*:\s*"tree"')


def decode_model_file(data: bytes) -> str | XgboostForest:
    """LightGBM's text with the ends of lines it should have, or a forest of XGBoost's.

    Raises ValueError, whose message says what the file is and why it cannot be used.
    """
    if len(data) > TEXT_BYTES_MAX:
        raise ValueError(f"has {len(data):,} bytes, more than the {TEXT_BYTES_MAX:,} of a model")
    for pattern, name, advice in _FOREIGN:
        if pattern.match(data):
            raise ValueError(f"is {name}: {advice}")
    if _XGBOOST.match(data):
        try:
            return decode_xgboost(data)
        except ValueError as error:
            raise ValueError(f"is an XGBoost model: {error}") from error
    if _JSON.match(data):
        if _LIGHTGBM_DUMP.search(data[:100_000]):
            raise ValueError(f"is LightGBM's dump as JSON, which does not hold all: {_AS_TEXT}")
        raise ValueError("is a JSON file, but no model of XGBoost's")
    return _lightgbm_text(data)


def _lightgbm_text(data: bytes) -> str:
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is neither a text in UTF-8 nor a model that we know: {error}") from error
    text = text.replace("\r\n", "\n")  # as Windows or git wrote it; sizes are told of bare ones
    if not text.startswith("tree\n"):
        first = text.split("\n", 1)[0][:40]
        raise ValueError(
            f"is no model that we know: LightGBM's text begins with the line tree, not {first!r}"
        )
    return text


def pandas_categories(text: str) -> list[list[object]]:
    """The texts that pandas has coded, a list for each column, as LightGBM has noted them.

    Raises ValueError if that cannot be read.
    """
    found = _PANDAS.search(text)
    if found is None:
        return []
    try:
        lists = orjson.loads(found[1])
    except orjson.JSONDecodeError as error:
        raise ValueError(f"has a pandas_categorical that cannot be read: {error}") from error
    if lists is None:
        return []
    if not (isinstance(lists, list) and all(isinstance(one, list) for one in lists)):
        raise ValueError("has a pandas_categorical that is no list of lists")
    return lists
