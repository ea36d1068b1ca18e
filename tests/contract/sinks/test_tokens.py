"""Access tokens, on both engines."""

from functools import partial

from query_api import tokens
from sinks.sql.engine import open_database
from sinks.sql.tables import TokenRow
from tests.contract.sinks.samples import contents


async def test_a_token_works_until_it_is_revoked(database_url: str) -> None:
    """For its sites, or for all; unknown tokens are rejected."""
    database = open_database(database_url)
    try:
        some = await database.run(lambda c: tokens.create(c, "a shop", ["shop", "blog", "shop"]))
        every = await database.run(lambda c: tokens.create(c, "", None))
        found = await database.run(lambda c: tokens.check(c, some))
        assert found is not None
        assert found.sites == frozenset({"blog", "shop"})
        assert (found.allows("shop"), found.allows("other")) == (True, False)
        all_of_them = await database.run(lambda c: tokens.check(c, every))
        assert all_of_them is not None
        assert all_of_them.allows("other")
        assert await database.run(lambda c: tokens.revoke(c, found.token_id))
        assert not await database.run(lambda c: tokens.revoke(c, found.token_id))
        for wrong in (some, every[:-1], "", "hr_\0", "\ud800", "x" * 1_000_000):
            assert await database.run(partial(tokens.check, token=wrong)) is None
        listed = await database.run(tokens.list_tokens)
    finally:
        await database.close()

    assert [(token.name, token.revoked_at is None) for token in listed] == [
        ("a shop", False),
        ("", True),
    ]


async def test_only_hashes_of_tokens_are_stored(database_url: str) -> None:
    """A hash is sufficient to verify a token."""
    database = open_database(database_url)
    token = await database.run(lambda c: tokens.create(c, "shown once", None))
    await database.close()

    [row] = await contents(database_url, TokenRow)

    assert token not in str(row)
    assert len(row["token_hash"]) == 64


async def test_a_token_has_the_read_scope_by_default(database_url: str) -> None:
    """The list contains the scope."""
    database = open_database(database_url)
    try:
        reading = await database.run(lambda c: tokens.create(c, "r", ["shop"]))
        managing = await database.run(lambda c: tokens.create(c, "m", ["shop"], "manage"))
        found = [
            await database.run(partial(tokens.check, token=token)) for token in (reading, managing)
        ]
        listed = await database.run(tokens.list_tokens)
    finally:
        await database.close()

    assert [grant and grant.scope for grant in found] == ["read", "manage"]
    assert {token.name: token.grant.scope for token in listed} == {"r": "read", "m": "manage"}


async def test_the_newest_tokens_are_listed(database_url: str) -> None:
    """In ascending order of creation."""
    database = open_database(database_url)
    try:
        for name in "abcd":
            await database.run(partial(tokens.create, name=name, sites=None))
        listed = await database.run(partial(tokens.list_tokens, limit=2))
    finally:
        await database.close()

    assert [token.name for token in listed] == ["c", "d"]
