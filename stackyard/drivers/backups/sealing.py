# SPDX-License-Identifier: Apache-2.0
"""The form in which a backup's content is kept: in frames that are compressed and encrypted one by one.

Used by `folder.py`. A file is the magic word, the length of its head (2 bytes, big-endian), the head (its key as the
platform's secrets seal it), then frames: the length of the sealed frame (4 bytes), and that. A frame is up to 1 MiB of
content, so that no more is in memory either way, compressed with zstd (RFC 8878) and sealed with AES-256-GCM (NIST SP
800-38D) under its number and whether it is the last, with all that stands before the first frame as associated data. So
none can be changed, moved or left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stackyard.model import errors
from stackyard.model.ports import Secrets

MAGIC = b"SYBACKUP1\n"
FRAME = 1 << 20
TAG = 16
LONGEST = FRAME + (FRAME >> 8) + 64 + TAG
"""Of a sealed frame: what can't be compressed grows by less (zstd's ZSTD_COMPRESSBOUND)."""
LEVEL = 3
HEAD, LENGTH, NONCE = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">3xQB")
CHANGED = "what is kept of it was changed or cut off"


def seal(secrets: Secrets, content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the sealed form of content, under a new key."""
    key = AESGCM.generate_key(256)
    sealed_key = secrets.seal(key.hex()).encode()
    head = MAGIC + HEAD.pack(len(sealed_key)) + sealed_key
    yield head
    cipher, number = AESGCM(key), 0
    held = b""
    pack = zstandard.ZstdCompressor(level=LEVEL).compress
    for frame in map(pack, _framed(content)):
        if number:
            yield _sealed(cipher, number, held, head, last=False)
        held, number = frame, number + 1
    yield _sealed(cipher, max(1, number), held or pack(b""), head, last=True)


def unseal(secrets: Secrets, file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a sealed file; raises GiveUp where it is not as it was sealed, at its end at the latest."""
    head = file.read(len(MAGIC) + HEAD.size)
    if len(head) < len(MAGIC) + HEAD.size or not head.startswith(MAGIC):
        raise errors.GiveUp(CHANGED)
    sealed_key = file.read(HEAD.unpack(head[len(MAGIC) :])[0])
    try:
        cipher = AESGCM(bytes.fromhex(secrets.open(sealed_key.decode())))
    except (errors.GiveUp, ValueError):
        raise errors.GiveUp(f"{CHANGED}, or the platform's key was") from None
    unpack = zstandard.ZstdDecompressor().decompress
    for frame in _frames(cipher, file, head + sealed_key):
        try:
            yield unpack(frame)
        except zstandard.ZstdError:
            raise errors.GiveUp("it was kept in a form that this version does not know") from None


def _sealed(cipher: AESGCM, number: int, frame: bytes, head: bytes, *, last: bool) -> bytes:
    return LENGTH.pack(len(frame) + TAG) + cipher.encrypt(NONCE.pack(number, last), frame, head)


def _frames(cipher: AESGCM, file: BinaryIO, head: bytes) -> Iterator[bytes]:
    """Yield opened frames: which is the last, the file's end says, and the frame's own seal must agree."""
    length, number = file.read(LENGTH.size), 1
    while True:
        if len(length) < LENGTH.size or LENGTH.unpack(length)[0] > LONGEST:
            raise errors.GiveUp(CHANGED)
        sealed, length = file.read(LENGTH.unpack(length)[0]), file.read(LENGTH.size)
        try:
            yield cipher.decrypt(NONCE.pack(number, not length), sealed, head)
        except (InvalidTag, ValueError):
            raise errors.GiveUp(CHANGED) from None
        if not length:
            return
        number += 1


def _framed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of one length, but for the last."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= FRAME:
            yield bytes(held[:FRAME])
            del held[:FRAME]
    if held:
        yield bytes(held)
