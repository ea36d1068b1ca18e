"""Country and region, and whose address is used."""

from pathlib import Path
from typing import Any

import maxminddb
import pytest

from producer_api.events.client import Client
from producer_api.events.derive.places import NOWHERE, Place, open_database
from schemas.settings import SettingsError
from tests.unit.producer_api.around import NOW
from tests.unit.producer_api.derivation import (
    BROWSER,
    CHROME,
    KEY_GRANT,
    LOOKUPS,
    derived,
    lookups_of,
    salted,
)

LIBRARY = "python-requests/2.32"
REPORTED = Client(address="2001:4860:4860::8888", is_reported=True)


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("8.8.8.8", "US"),
        ("::ffff:8.8.8.8", "US"),
        ("2001:4860:4860::8888", "US"),
        ("127.0.0.1", None),
        ("10.1.2.3", None),
        ("fe80::1%eth0", None),
        ("not an address", None),
        ("", None),
    ],
)
def test_the_country_is_that_of_the_address(address: str, country: str | None) -> None:
    """Private and invalid addresses have none."""
    assert derived(Client(address=address, user_agent=CHROME)).country == country


@pytest.mark.parametrize(
    ("header", "country"), [("at", "AT"), (" CH ", "CH"), ("XX", "US"), ("T1", "US"), ("no", "NO")]
)
def test_the_country_of_a_proxy_wins(header: str, country: str) -> None:
    """Unless it does not know one."""
    client = Client(address="8.8.8.8", user_agent=CHROME, country=header)

    assert derived(client).country == country


def test_the_region_is_in_the_country_of_the_record() -> None:
    """If a proxy reports another country, the region of the database is not used."""
    lookups = lookups_of(salted(lambda: NOW, 0))
    lookups.place = lambda _: Place("US", "US-CA")

    assert derived(BROWSER, with_lookups=lookups).region == "US-CA"
    elsewhere = Client(address="8.8.8.8", user_agent=CHROME, country="AT")
    event = derived(elsewhere, with_lookups=lookups)
    assert (event.country, event.region) == ("AT", None)


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}]}, ("US", "US-CA")),
        ({"country": {"iso_code": "US"}, "subdivisions": []}, ("US", None)),
        ({"country": {"names": {}}}, (None, None)),
        (None, (None, None)),
        (ValueError("of another version"), (None, None)),
    ],
)
def test_the_database_of_the_operator_is_used(
    record: Any, place: tuple[str | None, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the form of GeoLite2 and DB-IP; addresses that it does not have are nowhere."""

    class Reader:
        def get(self, address: str) -> Any:
            assert address == "8.8.8.8"
            if isinstance(record, Exception):
                raise record
            return record

    monkeypatch.setattr(maxminddb, "open_database", lambda _file: Reader())
    find = open_database("own.mmdb")

    assert (find("8.8.8.8").country, find("::ffff:8.8.8.8").region) == place


def test_a_database_that_cannot_be_read_is_an_error_at_start(tmp_path: Path) -> None:
    """The message names the setting."""
    file = tmp_path / "wrong.mmdb"
    file.write_bytes(b"no database")

    with pytest.raises(SettingsError, match="HEADRACE_API__GEO_DATABASE"):
        open_database(str(file))


def test_a_library_of_a_back_end_with_a_key_has_no_place() -> None:
    """Its address is not that of a visitor; without a key, it may be one."""
    program = Client(address="8.8.8.8", user_agent=LIBRARY)

    assert derived(program, KEY_GRANT).country is None
    assert derived(program).country == "US"
    assert derived(BROWSER, KEY_GRANT).country == "US"


def test_a_request_without_a_user_agent_has_no_place() -> None:
    """No browser sends it, but programs that replay recorded events."""
    assert derived(Client(address="8.8.8.8")).country is None
    assert LOOKUPS.place("8.8.8.8") != NOWHERE


def test_a_reported_address_is_used() -> None:
    """A back end with a key reports address and user agent of its visitor."""
    event = derived(REPORTED, KEY_GRANT, user_agent=CHROME)

    assert (event.country, event.browser) == ("US", "Chrome")
    assert (event.visitor_id or "").startswith("d-")
