"""The services' own apps with one thing changed, for comparison. uvicorn loads them in the place of `app.main:app`.

Each puts its change in place and then imports `app.main`: whichever service's folder it runs in.
"""

import importlib
from typing import Any


def main_app() -> Any:
    """The app of the service in whose folder this process runs."""
    return importlib.import_module("app.main").app
