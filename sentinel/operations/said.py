"""What a person has written for others to read: who, why, a note."""

from sentinel.errors import ConfigError

TEXT_LENGTH_MAX = 2_000


def checked_text(option: str, text: str, *, is_needed: bool = False) -> str:
    """What a person has written, as it may be kept. Raises ConfigError."""
    found = text.strip()
    if is_needed and not found:
        raise ConfigError(f"{option} must not be empty")
    if len(found) > TEXT_LENGTH_MAX:
        raise ConfigError(f"{option} may have {TEXT_LENGTH_MAX:,} characters, not {len(found):,}")
    if any("\ud800" <= c <= "\udfff" for c in found):
        raise ConfigError(f"{option} is not text in UTF-8")
    return found
