"""What a process has said by its end: one sentence, a code, its health; no traceback."""

import re
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ending:
    """How a process that nobody stopped has ended."""

    code: int
    sentence: str  # the one that a person is to read
    offences: list[str] = field(default_factory=list)


def ending_of(code: int, text: str, named: str) -> Ending:
    """Whether an end was a proper one: not 0, no traceback, one sentence that names what.

    Parameters
    ----------
    named
        A pattern that the sentence must contain: what it is about, and where.
    """
    said = [line for line in text.splitlines() if line.startswith("sentinel: ")]
    offences = []
    if code == 0:
        offences.append("ended by itself with exit code 0")
    if code < 0:
        offences.append(f"ended by signal {-code}")
    if (at := text.find("Traceback")) >= 0:
        what = re.search(r"^(?!sentinel: )\w[\w.]*(:.*)?$", text[at:].partition("\n")[2], re.M)
        offences.append(f"a traceback: {what[0][:200] if what else ''}")
    if len(said) != 1:
        offences.append(f"{len(said)} sentences at the end, not one: {text[-300:]!r}")
    elif re.search(r"\b[A-Z]\w+\(\w+=", said[0]):
        offences.append(f"the sentence shows an object of Python: {said[0]}")
    elif not re.search(named, said[0]):
        offences.append(f"the sentence does not say {named!r}: {said[0]}")
    return Ending(code, said[0].removeprefix("sentinel: ") if said else "", offences)


def healths(text: str) -> list[str]:
    """Every word that a plain run has said on its health, in order."""
    return re.findall(r"· health (\w+)", text)
