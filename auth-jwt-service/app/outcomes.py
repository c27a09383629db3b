"""Logins counted by how they ended, for Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from shared import errors

SUCCESS, ERROR = "success", "error"
# Those that are to be seen at 0 before they first happen: an alert on a rate needs a beginning.
_REFUSALS = (
    errors.InvalidCredentials,
    errors.AccountDisabled,
    errors.AccountUnavailable,
    errors.WrongUserType,
    errors.TooManyAttempts,
    errors.Busy,
)


def logins_counter() -> Counter:
    """A counter of its own, in no registry."""
    counter = Counter(
        "predicthealth_auth_logins_total",
        "Logins tried, by outcome: `success`, else the code of the refusal.",
        ["outcome"],
        registry=None,
    )
    for outcome in (SUCCESS, ERROR, *(refusal.code for refusal in _REFUSALS)):
        counter.labels(outcome)
    return counter


@contextmanager
def counted(logins: Counter) -> Iterator[None]:
    """Count the login that is tried in this block."""
    outcome = ERROR
    try:
        yield
        outcome = SUCCESS
    except errors.Problem as exc:
        outcome = exc.code
        raise
    finally:
        logins.labels(outcome).inc()
