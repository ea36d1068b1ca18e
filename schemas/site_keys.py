"""Site keys: secrets with which back ends prove that events are of their site."""

from hashlib import sha256

KEY_PREFIX = "hrk_"


def key_hash(key: str) -> str:
    """Return the hash under which a key is stored."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
