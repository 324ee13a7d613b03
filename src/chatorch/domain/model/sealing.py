"""A secret kept so that only who holds another one can read it, not even who holds the database.

The other secret must be long and random, and is never stored itself. Its key for one purpose is derived by HMAC-SHA-256
(as in RFC 5869, 2.2); SHAKE-256 of that is the pad, which is used for one text only, and an HMAC over the result tells
what was tampered with, or opened by another secret.
"""

import base64
import binascii
import hashlib
import hmac

TAG_BYTES = 32


def sealed(text: str, *, under: str, purpose: str) -> str:
    """In base64. A purpose serves once: the same one and the same secret for two texts would tell of both."""
    key = _key(under, purpose)
    cipher = _padded(text.encode(), key)
    return base64.b64encode(cipher + _tag(cipher, key)).decode()


def unsealed(box: str, *, under: str, purpose: str) -> str | None:
    """None for what was not sealed so."""
    key = _key(under, purpose)
    try:
        raw = base64.b64decode(box, validate=True)
    except (binascii.Error, ValueError):
        return None
    cipher, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(cipher, key)):
        return None
    return _padded(cipher, key).decode()


def _key(under: str, purpose: str) -> bytes:
    return hmac.digest(under.encode(), f"chatorch seal\0{purpose}".encode(), "sha256")


def _padded(data: bytes, key: bytes) -> bytes:
    pad = hashlib.shake_256(key + b"pad").digest(len(data))
    return bytes(one ^ other for one, other in zip(data, pad, strict=True))


def _tag(cipher: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"tag" + cipher, "sha256")
