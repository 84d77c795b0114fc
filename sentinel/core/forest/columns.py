"""Which columns a model in LightGBM's text reads, and the same model over other columns."""

import re
from collections.abc import Mapping, Sequence

from sentinel.core.forest.text import Sections, forest_text, read_sections

_NAMES_SHOWN_MAX = 8
_UNNAMED = re.compile(r"(Column_|f|feature_?)?\d+")  # LightGBM's, XGBoost's and scikit-learn's
_SPLIT_FEATURE = re.compile(r"^split_feature=(.*)$", re.MULTILINE)
_LINEAR = re.compile(r"^is_linear=[^0]", re.MULTILINE)


def column_names(text: str) -> tuple[str, ...]:
    """What a model calls its columns. Raises ValueError if the text is damaged."""
    header = read_sections(text).header
    names = tuple(header.get("feature_names", "").split())
    told = header["max_feature_idx"]
    if not told.isdecimal() or len(names) != int(told) + 1:
        raise ValueError(f"feature_names holds {len(names)} names, max_feature_idx is {told}")
    return names


def places(names: Sequence[str], declared: Sequence[str], *, by_position: bool) -> list[int]:
    """For each column of a model the place of its feature among those that are declared.

    Raises ValueError, which names what does not fit. A feature that is declared need not be read.
    """
    if by_position:
        if len(names) != len(declared):
            raise ValueError(
                f"has {len(names)} columns, and [[features]] declares {len(declared)}: by their "
                "position they cannot be told"
            )
        return list(range(len(declared)))
    place = {name: i for i, name in enumerate(declared)}
    if unknown := [name for name in names if name not in place]:
        if all(_UNNAMED.fullmatch(name) for name in names):
            raise ValueError(
                f"has columns without names of their own ({_shown(names)}): train it with the "
                "names of [[features]], or say --by-position if its columns are these in their "
                "order"
            )
        unread = [name for name in declared if name not in set(names)]
        raise ValueError(
            f"reads {_shown(unknown)}, which [[features]] does not declare"
            + (f"; declared and not read: {_shown(unread)}" if unread else "")
        )
    if len(set(names)) != len(names):
        raise ValueError("has two columns of one name")
    return [place[name] for name in names]


def over_columns(text: str, place: Sequence[int], declared: Sequence[str]) -> str:
    """The same model, which reads column `place[i]` of those that are declared as its column i.

    No score changes: each node looks at the same value, and the leaves are added in their order.
    Raises ValueError if the text is damaged, or its leaves read columns, too.
    """
    sections = read_sections(text)
    if column_names(text) == tuple(declared) and list(place) == list(range(len(declared))):
        return text
    if any(_LINEAR.search(tree) for tree in sections.trees):
        raise ValueError("has linear leaves, which cannot be put over other columns")
    trees = [_SPLIT_FEATURE.sub(lambda found: _moved(found, place), one) for one in sections.trees]
    return forest_text(_head(sections, place, declared), trees, sections.tail)


def categorical_columns(text: str) -> list[int]:
    """The columns that were trained on as categories, by the values that the header lists."""
    infos = read_sections(text).header.get("feature_infos", "").split()
    return [i for i, info in enumerate(infos) if not info.startswith("[") and info != "none"]


def check_categories(
    text: str,
    names: Sequence[str],
    categories: Sequence[Sequence[object]],
    values: Mapping[str, Sequence[str]],
) -> None:
    """Whether texts that pandas has coded get the same codes here.

    Parameters
    ----------
    names
        What the columns of the text are called among the declared features.
    categories
        For each categorical column of the data frame its texts in the order of their codes.
    values
        Of each declared feature with the stat "category" its texts in that order.

    Raises
    ------
    ValueError
        If they do not. What stands behind the model's own in `values` is unknown to it, as it was
        to pandas: it goes where a missing value goes.
    """
    columns = categorical_columns(text)
    if len(columns) != len(categories):
        raise ValueError(
            f"was trained on {len(categories)} columns of texts (pandas_categorical) and holds "
            f"{len(columns)} categorical ones, so that nobody can tell which code means which text"
        )
    for column, texts in zip(columns, categories, strict=True):
        name, wanted = names[column], [str(one) for one in texts]
        if list(values.get(name, ()))[: len(wanted)] != wanted:
            listed = ", ".join(f'"{one}"' for one in wanted)
            raise ValueError(
                f"was trained on texts in {name} (pandas_categorical), which stand for their "
                f'place in a list: declare it with stat = "category" and values = [{listed}], in '
                "this order"
            )


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN_MAX
    shown = ", ".join(names[:_NAMES_SHOWN_MAX])
    return f"{shown} and {more} more" if more > 0 else shown


def _moved(found: re.Match[str], place: Sequence[int]) -> str:
    columns = [int(word) for word in found[1].split()]
    if not all(0 <= column < len(place) for column in columns):
        raise ValueError("split_feature holds a feature that the model does not have")
    return "split_feature=" + " ".join(str(place[column]) for column in columns)


def _head(sections: Sections, place: Sequence[int], declared: Sequence[str]) -> str:
    """The header with what it says of columns at their places."""
    lines = []
    for line in sections.head.split("\n"):
        key, _, value = line.partition("=")
        match key:
            case "max_feature_idx":
                line = f"{key}={len(declared) - 1}"
            case "feature_names":
                line = f"{key}=" + " ".join(declared)
            case "feature_infos":
                line = f"{key}=" + _spread(value, place, len(declared), "none")
            case "monotone_constraints":
                line = f"{key}=" + _spread(value, place, len(declared), "0")
        lines.append(line)
    return "\n".join(lines)


def _spread(value: str, place: Sequence[int], count: int, absent: str) -> str:
    words = [absent] * count
    for at, word in zip(place, value.split(), strict=True):
        words[at] = word
    return " ".join(words)
