"""Figures that are costly to count, kept in Redis for a short time. Nothing about one person is ever kept there."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from .context import current
from .redis import available
from .resources import Resources


async def counted(resources: Resources, name: str, count: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What `count` says, with the time `as_of` which: now, or up to `STATISTICS_MAX_AGE_SECONDS` ago.

    `name` tells apart whatever the figures depend on, but the language: labels are in the one of the request.
    """
    key = f"figures:{resources.service}:{current().language}:{name}"
    with available():
        kept = await resources.redis.get(key)
    if kept is None:
        figures = {"as_of": datetime.now(UTC), **await count()}
        kept = json.dumps(figures, default=str)
        if age := resources.settings.statistics_max_age_seconds:
            with available():
                await resources.redis.set(key, kept, ex=age)
    answer: dict[str, Any] = json.loads(kept)
    return answer
