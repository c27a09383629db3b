import pytest

from shared.redis import client_of

pytestmark = pytest.mark.anyio


async def test_sentinels_are_named_by_a_url() -> None:
    url = "redis+sentinel://user:p%40ss@first:26380,second/clinic/3?sentinel_password=theirs"
    client = client_of(url, 0.5)
    pool = client.connection_pool
    sentinels = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(known["host"], known["port"]) for known in sentinels] == [("first", 26380), ("second", 26379)]
    assert all((known["password"], known["socket_timeout"]) == ("theirs", 0.5) for known in sentinels)
    known = pool.connection_kwargs
    assert (pool.service_name, known["username"], known["password"], known["db"]) == ("clinic", "user", "p@ss", 3)
    await client.aclose()


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://first:26379", "redis+sentinel:///clinic", "redis+sentinel://first/clinic/zero", "nonsense"],
)
def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        client_of(url, 0.5)
