"""The page of `/docs` and what it is made of."""

import pytest

from shared.docs import ASSETS

from ..support import Api


@pytest.mark.parametrize("part", ["bytes=0-3", "bytes=99999999-", "bytes=a-b", "lines=1-2"])
def test_an_asset_comes_whole_whatever_part_of_it_is_asked_for(part: str, api: Api) -> None:
    asset = f"{ASSETS}/favicon.png"
    whole = api.anonymous.doctors.get(asset)
    answer = api.anonymous.doctors.get(asset, headers={"Range": part})
    assert (answer.status_code, answer.content) == (200, whole.content)
