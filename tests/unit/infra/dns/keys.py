"""Key records as sending services show them."""

from __future__ import annotations

import base64
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# A whole record with a key of 512 bits, which no library of today makes any more.
SHORT = (
    "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANtQfWZ0XluI18iEUoGJHB5mIal3R01OjiekdpKWWT5m55CKiJIFGZvRt8A3KIAQ"
    "8G4iDTVXKbOty5MFT6K7bbMCAwEAAQ=="
)


@cache
def private_key(bits: int = 2048) -> RSAPrivateKey:
    return generate_private_key(65537, bits)


def rsa(bits: int = 2048, extra: str = "") -> str:
    """Return the record of an RSA key."""
    raw = private_key(bits).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa;{extra} p={base64.b64encode(raw).decode()}"


def ed25519() -> str:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
