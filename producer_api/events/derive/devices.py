"""The kind of device in a user agent: desktop, mobile, tablet, tv, console, wearable or other."""

#: In order, because most user agents have words of several kinds. RE2 has no lookahead.
_WORDS = {
    "console": ("PlayStation", "Xbox", "Nintendo"),
    "tv": (
        *("[Ss]mart-?TV", "SMART-TV", "HbbTV", "Apple ?TV", "Google ?TV", r"\bTV\b", "DTV"),
        *("CrKey", "BRAVIA", "NetCast", "NETTV", "Web0S", "Roku", r"\bAFT[A-Z]", "VIDAA"),
        *("V(?:iera|IERA)", "M[iI]BOX"),
    ),
    "wearable": ("Apple ?Watch", "watchOS", r"\bWatch\d", "Wear ?OS", "Galaxy Watch", r"SM-R\d{3}"),
    "tablet": (
        *("iPad", "[Tt]ablet(?:[^ ]| [^P]|$)", "PlayBook", "Kindle", r"\bKF[A-Z]{2,5}\b"),
        *(r"SM-[TX]\d{3}", r"Nexus (?:7|9|10)\b"),
    ),
    "mobile": (
        *("Mobi", "iPhone", "iPod", "Windows Phone", "BlackBerry", "BB10"),
        *("Opera Mini", "MIDP", "Symbian", "KAIOS", "webOS"),
    ),
    "android": ("Android", "Silk"),
    "desktop": ("Windows", "Macintosh", "X11", "Linux", "CrOS", "FreeBSD", "OpenBSD"),
}
#: The pattern of each kind, for RE2.
DEVICE_PATTERNS = ["|".join(words) for words in _WORDS.values()]
# Only phones have Android and "Mobi".
_KINDS = ["tablet" if kind == "android" else kind for kind in _WORDS]


def device_of(pattern: int) -> str:
    """Return the kind of device of the first pattern that matches, by index."""
    return _KINDS[pattern] if pattern < len(_KINDS) else "other"
