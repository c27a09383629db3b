"""What `./fleet` runs: the supervisor of the services and their servers, and the checks. Nothing here serves a user."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class FleetError(Exception):
    """Something the person at the terminal can put right; its text is the one line that they see."""


def path_of(given: str) -> Path:
    """The path that a person gave, `~` and `~user` resolved; FleetError when there is no such user."""
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise FleetError(f"{given} is no path: nobody of that name has a home here") from error
