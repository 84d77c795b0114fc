"""From the secret of the configuration to the keys of assignment."""

from hashlib import blake2b

from sentinel.core.experiments.assignment.siphash import HashKey, siphash_of

_CHECKED = "which secret is this?"


def key_of(secret: str) -> HashKey:
    """The key of all assignments under a secret of any length; an empty one is no secret."""
    digest = blake2b(secret.encode(), digest_size=16, person=b"sentinel-arms")
    return HashKey.of(digest.digest())


def key_check(key: HashKey) -> str:
    """Shows whether two keys are the same, and no more: 16 hex digits."""
    return f"{siphash_of(_CHECKED, key):016x}"


def salt_of(what: str, name: str, key: HashKey) -> int:
    """What makes the numbers of one layer, or experiment, others than those of the next."""
    return siphash_of(f"{what}:{name}", key)
