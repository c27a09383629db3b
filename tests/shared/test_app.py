"""What every service does as it starts."""

import gc

import pytest

from dev.fleet import Fleet

from .support import serving


@pytest.mark.anyio
async def test_no_garbage_collection_looks_through_what_start_up_made(fleet: Fleet) -> None:
    gc.unfreeze()
    async with serving(fleet, "doctors"):
        assert gc.get_freeze_count() > 10_000
    gc.unfreeze()
