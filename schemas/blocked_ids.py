"""The hashes of blocked ids, which replace the erased ids in the topic `blocked-ids`."""

from hashlib import sha256


def hash_of(site_id: str, kind: str, value: str) -> str:
    """Return the hash of a visitor or user id of a site; `kind` is `visitor` or `user`."""
    text = f"{site_id}\n{kind}\n{value}"
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key_of(site_id: str, hashed: str) -> str:
    """Return the key of a record of `blocked-ids`."""
    return f"{site_id}:{hashed}"
