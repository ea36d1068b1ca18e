"""The hashes that replace erased ids in the topics `blocked-ids` and `erasures`."""

from hashlib import sha256


def hash_of(site_id: str, kind: str, value: str) -> str:
    """Return the hash of an id of a site; `kind` is `visitor`, `user`, `session` or `site`."""
    text = f"{site_id}\n{kind}\n{value}"
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key_of(site_id: str, hashed: str) -> str:
    """Return the key of a record of `blocked-ids` or `erasures`."""
    return f"{site_id}:{hashed}"
