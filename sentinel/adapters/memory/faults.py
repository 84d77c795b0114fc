"""A plan of failure: which call to the outside world fails, and how."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sentinel.errors import TransientError


@dataclass(slots=True)
class Faults:
    """Counts every adapter call it is shared by, and fails call number `fail_at` (from 1).

    Attributes
    ----------
    fail_at
        Which call fails; None for none.
    lasting
        Whether all later calls fail too, until `fail_at` is set to None.
    after_effect
        Whether the call takes effect before it fails, as when only the answer is lost.
    call_count
        Calls so far.
    failed
        The name of the last call that failed.
    """

    fail_at: int | None = None
    lasting: bool = False
    after_effect: bool = False
    call_count: int = 0
    failed: str | None = None

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Run the body as one call to the outside world."""
        self.call_count += 1
        number = self.call_count
        fails = self._fails(number)
        if fails and not self.after_effect:
            self._fail(name, number)
        yield
        if fails:
            self._fail(name, number)

    def _fails(self, number: int) -> bool:
        if self.fail_at is None:
            return False
        return number >= self.fail_at if self.lasting else number == self.fail_at

    def _fail(self, name: str, number: int) -> None:
        self.failed = name
        raise TransientError(f"call {number} ({name}) fails as planned")
