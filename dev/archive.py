"""A backup as one file: a tar archive of a manifest and of the parts that it vouches for.

The hashes find damage, not forgery: whoever can write a backup can write another one.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from dev import FleetError

FORMAT = 1
MANIFEST, CHECKSUM = "manifest.json", "manifest.sha256"
PIECE_BYTES = 1 << 20
LARGEST_MANIFEST_BYTES = 1 << 24


@dataclass(frozen=True)
class Part:
    """What goes into an archive under a name, or lies in one: a file at its beginning."""

    file: IO[bytes]
    size: int
    sha256: str


def write(out: IO[bytes], facts: Mapping[str, Any], parts: Mapping[str, Part]) -> None:
    """Write an archive; `out` may be a pipe. OSError when it takes no more."""
    described = {name: {"bytes": part.size, "sha256": part.sha256} for name, part in parts.items()}
    manifest = json.dumps({"format": FORMAT, **facts, "parts": described}, indent=1).encode()
    checksum = hashlib.sha256(manifest).hexdigest().encode()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, MANIFEST, len(manifest), io.BytesIO(manifest))
        _add(archive, CHECKSUM, len(checksum), io.BytesIO(checksum))
        for name, part in parts.items():
            part.file.seek(0)
            _add(archive, name, part.size, part.file)


def _add(archive: tarfile.TarFile, name: str, size: int, file: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    archive.addfile(member, file)


def read(file: IO[bytes], shown: str) -> tuple[dict[str, Any], dict[str, Part]]:
    """Return the manifest and the parts of an archive, each compared with its hash.

    FleetError, in which the archive is called `shown`, for one that is damaged, cut off, or of another format.
    """
    damaged = FleetError(f"{shown} is not a whole backup: it is damaged, cut off, or something else")
    try:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 (the parts are read through it later)
        members = {member.name: member for member in archive.getmembers() if member.isreg()}
        text = _content(archive, members[MANIFEST])
        if _content(archive, members[CHECKSUM]) != hashlib.sha256(text).hexdigest().encode():
            raise damaged
        manifest: dict[str, Any] = json.loads(text)
        if manifest["format"] != FORMAT:
            raise FleetError(f"{shown} has the format {manifest['format']}, and this version reads {FORMAT}")
        parts = {}
        for name, described in manifest["parts"].items():
            content = archive.extractfile(members[name])
            if content is None or digest_of(content) != (described["bytes"], described["sha256"]):
                raise damaged
            content.seek(0)
            parts[name] = Part(content, described["bytes"], described["sha256"])
    except (tarfile.TarError, KeyError, ValueError, TypeError, EOFError) as error:
        raise damaged from error
    return manifest, parts


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None or member.size > LARGEST_MANIFEST_BYTES:
        raise ValueError(member.name)
    return file.read()


def digest_of(file: IO[bytes]) -> tuple[int, str]:
    """Return how many bytes follow in a file, and their SHA-256 in hexadecimal."""
    size, sha256 = 0, hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        size += len(piece)
        sha256.update(piece)
    return size, sha256.hexdigest()
