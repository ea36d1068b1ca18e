"""One attempt: a signed POST to an address that may be reached, and what became of it."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from sinks.webhooks.addresses import ForbiddenError, check_address, check_url
from sinks.webhooks.schedule import Outcome

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
#: What of an answer's body is taken from the network at most; none of it is looked at.
MAX_ANSWER_BYTES = 64 * 1024
#: Names looked up at once. A look-up that hangs holds a thread of ours, nobody else's.
_LOOKUPS = 32

#: What went wrong, the narrower kinds first.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the host's name was not found"),
    (aiohttp.ClientSSLError, "the host does not speak TLS as we do"),
    (aiohttp.ClientConnectorError, "the host refused the connection, or is not reached"),
    (aiohttp.ServerDisconnectedError, "the connection ended before an answer"),
    (ConnectionError, "the connection ended before an answer"),
)
_OTHER_WORDS = "the answer was not HTTP, or the URL cannot be used"

Resolve = Callable[..., Any]


class CheckingResolver(AbstractResolver):
    """Looks names up in threads of its own; refuses a name when one of its addresses is not public.

    `allow_private` takes all. `getaddrinfo` is the machine's.
    """

    def __init__(self, *, allow_private: bool, getaddrinfo: Resolve = socket.getaddrinfo) -> None:
        self._allow_private = allow_private
        self._getaddrinfo = getaddrinfo
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; `ForbiddenError` when it leads inside."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: self._getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM),
        )
        results: list[ResolveResult] = []
        for kind, _, protocol, _, place in found:
            if not self._allow_private:
                check_address(place[0])
            results.append(
                ResolveResult(
                    hostname=host,
                    host=place[0],
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Let go of the threads; those that hang are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Sender:
    """Sends deliveries; an async context manager.

    A receiver's certificate must be for the name in its URL, whatever address was connected to,
    and of an authority that the system trusts, or `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    """

    def __init__(self, *, allow_private: bool, getaddrinfo: Resolve = socket.getaddrinfo) -> None:
        self._allow_private = allow_private
        self.resolver = CheckingResolver(allow_private=allow_private, getaddrinfo=getaddrinfo)
        self._session: Any = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self.resolver,
                socket_factory=self._make_socket,
                ssl=ssl.create_default_context(),
                use_dns_cache=False,
                # A connection lives for one attempt: each is made, and so checked, anew.
                force_close=True,
                limit=0,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            read_bufsize=MAX_ANSWER_BYTES // 2,
            trust_env=False,
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self.resolver.close()

    async def send(
        self, url: str, secret: str, delivery_id: str, body: str, now: datetime
    ) -> Outcome:
        """Send a body, signed for this attempt; never raises but when cancelled.

        Redirects are not followed, and nothing of the answer but its status and `Retry-After`
        is kept.
        """
        began = time.monotonic()
        status = error = retry_after = None
        try:
            status, retry_after = await self._post(url, _signed(secret, delivery_id, body, now))
        except TimeoutError:
            error = f"no answer within {TIMEOUT_SECONDS:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as found:
            error = _words(found)
        except Exception:  # an edge: a receiver that found a hole in a library is put off, too
            log.exception("an attempt of delivery %s failed in itself", delivery_id)
            error = "the attempt failed in headrace itself"
        duration_ms = int((time.monotonic() - began) * 1_000)
        return Outcome(status, error, duration_ms, retry_after)

    async def _post(self, url: str, signed: tuple[bytes, dict[str, str]]) -> tuple[int, str | None]:
        body, headers = signed
        checked = check_url(url, allow_private=self._allow_private)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await self._session.post(
                checked, data=body, headers=headers, allow_redirects=False
            )
            answer.close()
            return answer.status, answer.headers.get("Retry-After")

    def _make_socket(self, info: Any) -> socket.socket:
        """Make the socket to an address, literal or resolved: the last place to refuse it."""
        family, kind, protocol, _, place = info
        if not self._allow_private:
            check_address(place[0])
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def _signed(
    secret: str, delivery_id: str, body: str, now: datetime
) -> tuple[bytes, dict[str, str]]:
    signature = Webhook(secret).sign(delivery_id, now, body)
    return body.encode(), {
        "Content-Type": "application/json",
        "User-Agent": "headrace",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


def _words(error: BaseException) -> str:
    """Return why there was no answer, in words that tell nothing about our network."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ForbiddenError):
            return str(cause)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        wrong = error.certificate_error
        why = wrong.verify_message if isinstance(wrong, ssl.SSLCertVerificationError) else ""
        return f"the host's certificate is refused: {why or 'it is not valid for the host'}"
    return next((words for kind, words in _WORDS if isinstance(error, kind)), _OTHER_WORDS)
