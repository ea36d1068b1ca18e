"""Which parts of an error's message are masked in its fingerprint."""

from time import process_time

import pytest

from streams.domain.alerts.error_text import constant
from streams.domain.alerts.stack_frames import identifying_frame

SAME = {
    "hex id": ("job_a3b1799d failed", "job_1c80317f failed", "job_12345678 failed"),
    "letters of a hex id": ("job_deadbeef failed", "job_a3b1799d failed"),
    "object id": ("cart_16419f828b9d2434e465e150 missing", "cart_0822e8f36c031199972a8469 missing"),
    "UUID": (
        "user_1a2a73ed-562b-4f79-8374-59eef50bea63 gone",
        "user_5BE6128E-18C2-4797-A142-EA7D17BE3111 gone",
    ),
    "ULID": ("order_01ARZ3NDEKTSV4RRFFQ69G5FAV", "order_01BX5ZZKBKACTAV9WEVGEMMVRZ"),
    "UUID with underscores": (
        "user_1a2a73ed_562b_4f79_8374_59eef50bea63 gone",
        "user_59eef50b_ea63_8374_ab2b_2e45ecd54192 gone",
    ),
    "ULID of few digits": ("no MTHSP1NYRKTP7Z5BZ8Z5Q3D3TB", "no z0ps3hk0bn0jz3kk3kabmb0n65"),
    "Stripe's id": ("cus_NffrFeUfNV2Hib", "cus_9s6XKzkNRiz8i3", "cus_QwErTyUiOpAsDf"),
    "Stripe's id like words": (
        "cus_AwSNcTg1DOaecV gone",
        "cus_swTZuvjZKKVsy9 gone",
        "cus_joCewXxbMfNoLf gone",
        "cus_live_joCewXxbMfNoLf gone",
    ),
    "nanoid": ("no V1StGXR8_Z5jdHi6B-myT", "no Uakgb_J5m9g-0JDMbcJqLJ"),
    "number": ("order_1234", "order_7"),
    "short id": ("req-7f3k2 failed", "req-x9y8z7 failed"),
    "pod": ("web-7d4b9c6f5-x2x9z", "web-5f6c7d8e9-a1b2c"),
    "e-mail": ("mail to a@b.io bounced", "mail to john.doe+x@example.co.uk bounced"),
    "e-mail of another kind": (
        "user o'brien@x.example gone",
        "user anna@x.example gone",
        "user bob@müller.рф gone",
    ),
    "e-mail amid underscores": ("key_anna@x.example_2 gone", "key_bob@y.example_1 gone"),
    "Vite": ("load /assets/page-BkT9x3Qz.js", "load /assets/page-B_x3-kQ2.js"),
    "webpack": ("2.4f3a9c1b.chunk.js", "3.0a1b2c3d.chunk.js"),
    "underscore": ("load /assets/page_BkT9x3Qz.js", "load /assets/page_B_x3-kQ2.js"),
    "Next.js build": (
        "GET /_next/static/wT_UawaquBCV0OJAacCwi/_buildManifest.js",
        "GET /_next/static/aq_V3FZrjGg5qeLz2YgIH/_buildManifest.js",
    ),
    "esbuild": ("chunk-ABCD1234.mjs", "chunk-QRSTUVWX.mjs"),
    "Parcel": ("index.4f3a9c1b.js", "index.0123abcd.js"),
    "split": ("main~a1b2.css", "main~c3d4.css"),
    "Next.js": ("pages/_app-4f3a9c1b2d3e4f5a.js", "pages/_app-0123456789abcdef.js"),
    "address": ("connect 10.0.0.1:5432", "connect 2001:db8::ff00:42:8329", "connect ::1:5432"),
    "address after a prefix": (
        "peer_1fac:d127:bd6a:c12f:593c:4dbe:c23e:7f0f: timeout",
        "peer_ef63:ecb2:43af:6889:ecf5:4c0f:b85a:2123: timeout",
    ),
    "pointer": ("<Cart at 0x7f3a9c1b2d40>", "<Cart at 0x1>"),
    "time": (
        "at 2024-03-01T10:00:00.123Z",
        "at 2024-03-01 10:00:00+02:00",
        "at Mon Mar 04 2024 10:00:00 GMT+0100 (Central European Standard Time)",
    ),
    "JWT": ("bad eyJhbGciOi.eyJzdWIiOi.abc-_d", "bad eyJ0eXAiOi.eyJpc3MiOi.x"),
    "base64": ("bad dGhpcyBpcyBhIHRlc3Qg=", "bad aGVsbG8gd29ybGQgeHg=="),
    "query": ("GET https://x.io/a?b=1#c failed", "GET https://x.io/a failed"),
    "home": ("open /home/anna/a.py", "open /home/bob/a.py"),
    "line": ("app.js:12:5", "app.js:9"),
    "JSON": (
        'Unexpected token, "Hello wo"... is not valid JSON',
        'Unexpected token, "<!DOCTYPE "... is not valid JSON',
    ),
    "unique key": ("Duplicate entry 'anna' for key 'n'", "Duplicate entry 'bob' for key 'n'"),
    "release": ("/srv/releases/20240301/a.rb", "/srv/releases/20250101/a.rb"),
}


@pytest.mark.parametrize("texts", SAME.values(), ids=SAME)
def test_parts_that_vary_between_occurrences_are_masked(texts: tuple[str, ...]) -> None:
    """Ids, numbers, times, addresses and build hashes."""
    assert len({constant(text) for text in texts}) == 1


@pytest.mark.parametrize(
    "name",
    [
        "user_name",
        "get_total",
        "utf_8",
        "sha_256",
        "order_items",
        "getElementById",
        "XMLHttpRequest",
        "toISOString",
        "i18n",
        "facade",
        "MAX_VALUE",
        "ERR_CONNECTION_REFUSED",
        "NS_ERROR_NOT_CONNECTED",
        "api_getElementByIdentifier",
        "pi_calculation_overflow",
        "__init__",
        "std::vector",
        "Foo::Bar",
        "Cart#total",
        "obj.#secret",
        "a?.b.c",
        "@acme/cart",
        "page-Checkout.js",
        "user-settings.js",
        "page-component.js",
        "my-PageView.js",
        "fetchAll.js",
        "react-dom.js",
    ],
)
def test_names_are_kept(name: str) -> None:
    """They distinguish bugs."""
    assert constant(name) == name


def test_quoted_names_are_kept() -> None:
    """Such as properties and modules."""
    assert constant("undefined (reading 'id')") != constant("undefined (reading 'name')")
    assert constant("Cannot find module './a'") != constant("Cannot find module './b'")


@pytest.mark.parametrize("end", ["", "!", ":1:2", "\n"])
@pytest.mark.parametrize("start", ["", "at ", "#0 ", "x@", '  File "', "1: "])
@pytest.mark.parametrize(
    "unit", ["a", " ", "\t", "\\", "/", "a://", "a@b.", "A_1", "a-", ".a", "(a) ", ":1", "at ", "'"]
)
def test_the_time_is_linear_in_the_length(unit: str, start: str, end: str) -> None:
    """A stack of the maximal length takes milliseconds, whatever its content."""
    text = (start + unit * 2_048)[: 2_048 - len(end)] + end

    began = process_time()
    constant(text)
    identifying_frame(text)

    assert process_time() - began < 0.2
