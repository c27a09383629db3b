"""What the embedded Valkey holds, copied out whole at one moment, and put back whole or not at all."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

import redis

from dev import FleetError
from dev.archive import PIECE_BYTES
from dev.servers import CONNECT_SECONDS, EmbeddedValkey, redis_command

SNAPSHOT_SECONDS = 60
# The files of an append-only file that has been rewritten just now: a base, and nothing added to it since.
APPEND_ONLY_DIR = "appendonlydir"
BASE, BASE_LIST = "appendonly.aof.1.base.rdb", "appendonly.aof.manifest"


def snapshot(url: str) -> Iterator[bytes]:
    """The base of an append-only file as of now, in pieces, by the way in which a replica gets it.

    The server forks for it, so that nobody waits; FleetError when it doesn't deliver.
    """
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname, place.port), timeout=CONNECT_SECONDS) as connection:
            connection.settimeout(SNAPSHOT_SECONDS)
            answers = connection.makefile("rb")
            # Empty lines are signs of life while the server writes.
            lines = (line for line in iter(answers.readline, b"") if line.strip())
            connection.sendall(redis_command("AUTH", unquote(place.password or "")))
            header = next(lines, b"")
            if header == b"+OK\r\n":
                connection.sendall(redis_command("SYNC"))
                header = next(lines, b"")
            if not header.startswith(b"$"):
                raise FleetError(f"Valkey gives no copy of its data: {header.decode(errors='replace').strip()}")
            missing = int(header[1:])
            while missing:
                piece = answers.read(min(missing, PIECE_BYTES))
                if not piece:
                    raise FleetError("Valkey broke off the copy of its data")
                missing -= len(piece)
                yield piece
    except OSError as error:
        raise FleetError(f"Valkey gives no copy of its data: {error}") from error


def replace(url: str, base: IO[bytes], scratch: Path) -> int:
    """Put what a snapshot holds in the place of all that a Valkey holds, in one transaction; how many keys.

    Only a server can read a snapshot: one of its own, with its data in the directory `scratch`, hands over the keys.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    reader = EmbeddedValkey(scratch)
    try:
        folder = scratch / "valkey" / APPEND_ONLY_DIR
        folder.mkdir(mode=0o700)
        with open(folder / BASE, "wb") as file:
            shutil.copyfileobj(base, file, PIECE_BYTES)
        (folder / BASE_LIST).write_text(f"file {BASE} seq 1 type b\n", encoding="ascii")
        with redis.Redis.from_url(reader.start()) as source, redis.Redis.from_url(url) as target:
            transaction, count = target.pipeline(transaction=True).flushall(), 0
            for key in source.scan_iter(count=1000):
                content, ends = source.dump(key), source.pexpiretime(key)
                if content is not None:  # else it has just expired
                    transaction.restore(key, max(ends, 0), content, absttl=True)
                    count += 1
            transaction.execute()
            return count
    except redis.RedisError as error:
        raise FleetError(f"Valkey doesn't take the sessions: {error}") from error
    finally:
        reader.remove()
        shutil.rmtree(scratch, ignore_errors=True)


def end_all(url: str) -> None:
    """End every session; nothing else of a Redis that may have other uses is touched."""
    try:
        with redis.Redis.from_url(url, socket_timeout=CONNECT_SECONDS) as server:
            for key in server.scan_iter("session*", count=1000):
                server.unlink(key)
    except redis.RedisError as error:
        raise FleetError(f"Redis: {error}") from error
