"""Which database the commands of this folder work on."""

from collections.abc import Mapping

from shared.addresses import check_postgres


def database_url(environ: Mapping[str, str]) -> str:
    """`DATABASE_URL`. Raises ValueError, in a line that shows nothing of it, when it is missing or can't be read."""
    url = environ.get("DATABASE_URL")
    if not url:
        raise ValueError("DATABASE_URL is not set")
    try:
        return check_postgres(url)
    except ValueError as exc:
        raise ValueError(f"DATABASE_URL {exc}") from None
