"""Exit with 0 if the headrace process of this container is ready, else with 1 and the reason.

Every role reports its readiness on `HEADRACE_METRICS__PORT`, `headrace up` on its own port.
"""

import json
import os
import sys
import urllib.error
import urllib.request

_TIMEOUT_SECONDS = 3.0


def main() -> str | None:
    """Return why the process is not ready; None if it is."""
    ports = [os.environ.get("HEADRACE_METRICS__PORT"), os.environ.get("HEADRACE_API__PORT", "8080")]
    reason = "no port responds"
    for port in filter(None, ports):
        url = f"http://127.0.0.1:{port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            return _reason(error)
        except OSError as error:
            reason = f"{url}: {error}"
    return reason


def _reason(error: urllib.error.HTTPError) -> str:
    body = error.read().decode(errors="replace")
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body or str(error)


if __name__ == "__main__":
    sys.exit(main())
