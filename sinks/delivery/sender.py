"""Send a delivery: a signed POST request to a public address."""

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

from sinks.delivery.addresses import ForbiddenError, check_address, check_url
from sinks.delivery.schedule import Outcome
from sinks.delivery.secret_box import SecretBox, SecretError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
#: The limit of buffered response bytes; the response body is ignored.
MAX_RESPONSE_BYTES = 64 * 1024
#: Concurrent DNS lookups. A lookup that hangs blocks only a thread of this pool.
_LOOKUPS = 32

#: The messages for exceptions, subclasses first.
_ERRORS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the host name was not found"),
    (aiohttp.ClientSSLError, "the TLS handshake with the host failed"),
    (aiohttp.ClientConnectorError, "the host refused the connection or is unreachable"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before a response"),
    (ConnectionError, "the connection was closed before a response"),
)
_OTHER_ERROR = "the response was not valid HTTP, or the URL cannot be used"

GetAddrInfo = Callable[..., Any]


class CheckingResolver(AbstractResolver):
    """Resolves host names in its own threads, and rejects names with a private address.

    With `allow_private` it accepts all addresses.
    """

    def __init__(
        self, *, allow_private: bool, getaddrinfo: GetAddrInfo = socket.getaddrinfo
    ) -> None:
        self._allow_private = allow_private
        self._getaddrinfo = getaddrinfo
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises `ForbiddenError` if one is private."""
        infos = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: self._getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM),
        )
        results: list[ResolveResult] = []
        for address_family, _, protocol, _, address in infos:
            if not self._allow_private:
                check_address(address[0])
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address[0],
                    port=port,
                    family=address_family,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Shut down the threads without waiting for running lookups."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Sender:
    """Sends deliveries; an async context manager.

    Certificates are verified against the host name of the URL and the CAs of the system, or those
    of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
        box: SecretBox = SecretBox(),  # noqa: B008 - immutable
    ) -> None:
        self._allow_private = allow_private
        self._box = box
        self.resolver = CheckingResolver(allow_private=allow_private, getaddrinfo=getaddrinfo)
        self._session: Any = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self.resolver,
                socket_factory=self._create_socket,
                ssl=ssl.create_default_context(),
                use_dns_cache=False,
                force_close=True,  # a new connection for each attempt, so that it is checked
                limit=0,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            read_bufsize=MAX_RESPONSE_BYTES // 2,
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
        """Sign a body with a stored secret, and send it. Raises only when cancelled.

        Does not follow redirects; keeps only the status and `Retry-After` of the response.
        """
        started = time.monotonic()
        status = error = retry_after = None
        try:
            signed = _signed(self._box.decrypt(secret), delivery_id, body, now)
            status, retry_after = await self._post(url, signed)
        except SecretError as exception:
            error = str(exception)
        except TimeoutError:
            error = f"no response within {TIMEOUT_SECONDS:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as exception:
            error = _sentence(exception)
        except Exception:  # a library's bug in handling a response must not end the loop
            log.exception("an attempt of delivery %s failed with an internal error", delivery_id)
            error = "internal error in headrace"
        duration_ms = int((time.monotonic() - started) * 1_000)
        return Outcome(status, error, duration_ms, retry_after)

    async def _post(self, url: str, signed: tuple[bytes, dict[str, str]]) -> tuple[int, str | None]:
        body, headers = signed
        checked = check_url(url, allow_private=self._allow_private)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            response = await self._session.post(
                checked, data=body, headers=headers, allow_redirects=False
            )
            response.close()
            return response.status, response.headers.get("Retry-After")

    def _create_socket(self, info: Any) -> socket.socket:
        """Check the address, literal or resolved, and create the socket that connects to it."""
        family, kind, protocol, _, address = info
        if not self._allow_private:
            check_address(address[0])
        created = socket.socket(family, kind, protocol)
        created.setblocking(False)
        return created


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


def _sentence(error: BaseException) -> str:
    """Return the reason for a failed attempt, without details of the internal network."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ForbiddenError):
            return str(cause)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cert_error = error.certificate_error
        reason = ""
        if isinstance(cert_error, ssl.SSLCertVerificationError):
            reason = cert_error.verify_message
        return f"the host's certificate is rejected: {reason or 'it is not valid for the host'}"
    return next((sentence for kind, sentence in _ERRORS if isinstance(error, kind)), _OTHER_ERROR)
