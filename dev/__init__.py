"""What `./fleet` runs: the supervisor of the services and their servers, and the checks. Nothing here serves a user."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class FleetError(Exception):
    """Something the person at the terminal can put right; its text is the one line that they see."""
