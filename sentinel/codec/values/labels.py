"""The words for what a label says, alike in histories and in files of feedback."""

from functools import lru_cache

from sentinel.codec.times import number_of

MEANINGS = {
    **dict.fromkeys(("fraud", "fraudulent", "confirmed_fraud", "true_positive"), "fraud"),
    **dict.fromkeys(("true", "t", "yes", "y"), "fraud"),
    **dict.fromkeys(("genuine", "legitimate", "legit", "not_fraud", "non_fraud"), "genuine"),
    **dict.fromkeys(("no_fraud", "false_positive", "false", "f", "no", "n"), "genuine"),
    **dict.fromkeys(("unsure", "not_sure", "undecided", "unknown"), "unsure"),
    **dict.fromkeys(("retracted", "withdrawn"), "retracted"),
}
# Of one transaction: nobody says that it was fraud, nor that it was none.
_OPEN = ("unsure", "retracted")


@lru_cache(maxsize=1_024)
def meaning_of(text: str) -> str | None:
    """What a word says, or 1 or 0: fraud, genuine, unsure or retracted; None if it says nothing."""
    number = number_of(text.strip())
    if number is not None:
        return "fraud" if number == 1 else "genuine" if number == 0 else None
    return MEANINGS.get("_".join(text.casefold().replace("-", " ").replace("_", " ").split()))


def fraud_said(text: str | None) -> bool | None:
    """What the label of a row says; None: that nobody knows. Raises ValueError for another word."""
    if text is None or not text.strip():
        return None
    meaning = meaning_of(text)
    if meaning is None:
        raise ValueError(
            f'"{text[:60]}" is no label: 0 or 1, true or false, yes or no, fraud or genuine'
        )
    return None if meaning in _OPEN else meaning == "fraud"
