"""The addresses of pictures as text: read strictly, and shown without what must not be shown."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import quote, unquote

import httpx
from yarl import URL

from pipeline.core.errors import ItemError
from pipeline.storage.addresses import literal

LONGEST_SHOWN: Final = 300
"""Characters of an address in a message."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_SIGNING: Final = re.compile(
    r"""
    x-(amz|goog|oss|cos)-.*                                     # AWS and Google (V4), Alibaba, Tencent
    | x-[a-z]+-(signature|credential|date|expires|algorithm|signedheaders|security-token)  # others after AWS
    | awsaccesskeyid | googleaccessid | ossaccesskeyid          # AWS and Google (V2), Alibaba
    | signature | expires | key-pair-id | policy | security-token  # these and CloudFront
    | q-(sign-algorithm|ak|sign-time|key-time|header-list|url-param-list|signature)  # Tencent
    | sig | hdnea | hdnts | hdntl | __token__ | __gda__         # Azure, Akamai
    | ((access|auth|id|refresh|session)[_-]?)?token | jwt | auth | authorization | credentials?
    | (api|access|secret)[_-]?key | (client[_-]?)?secret | passw(or)?d
    """,
    re.VERBOSE | re.IGNORECASE,
)
_AZURE: Final = re.compile(r"s[eptvrsi]|spr|srt|sip|sk[estv]|skoid|sktid|saoid|suoid|scid|sdd", re.IGNORECASE)
"""Other parts of an Azure shared access signature. Elsewhere such short names tell pictures apart; they go with sig."""

_SHOWN = re.compile(r"(\s*(?:[A-Za-z][A-Za-z0-9+.\-]*:)?[/\\]*)([^/?#]*)([^?#]*)(\?[^#]*)?", re.DOTALL)
_HAS_HOST = re.compile(r"\s*(https?:|.*[/\\]{2})", re.IGNORECASE | re.DOTALL)
_READ = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?://([^/?#]*))?([^#]*)", re.DOTALL)
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:%\s]+))(?::([0-9]*))?")
_NAME = re.compile(r"(?=.{1,254}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_IN_STORE = re.compile(r"(s3|gs|az|abfss?)://", re.IGNORECASE)
_PASSWORD = re.compile(r"\A((?:s3|gs|az)://)[^/]*@", re.IGNORECASE)
"""In abfs:// what stands before the @ is the container."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_url(text: str) -> bool:
    """Whether this is meant as an address on the web or in an object store, not as a path."""
    return text[:8].lower().startswith(("http://", "https://")) or is_object_url(text)


def is_object_url(text: str) -> bool:
    """Whether this is meant as an address in an object store."""
    return bool(_IN_STORE.match(text))


def public_url(url: str) -> str:
    """The address for keys, rows and logs: without user name and password, fragment and signing parameters.

    Nothing else is changed, so that it names the same picture whenever it was signed. Any text may be given. The name
    of an object has no fragment: what may stand in an address in an object store are signing parameters by mistake.
    """
    if is_object_url(url):
        name, mark, query = url.partition("?")
        return _PASSWORD.sub(r"\1", name) + _public_query(mark + query)
    parts: tuple[str, str, str, str] = _SHOWN.findall(url)[0]  # one match, since every part may be empty
    start, authority, path, query = parts
    if _HAS_HOST.match(start):
        authority = authority.rpartition("@")[2]
    return start + authority + path + _public_query(query)


def unsigned_url(url: str) -> str:
    """The address without user name, password and signing parameters; one that has none of them stays as it is."""
    fragment = "" if is_object_url(url) else url[len("".join(_SHOWN.findall(url)[0])) :]
    return public_url(url) + fragment


def _public_query(query: str) -> str:
    # Pieces with the separator before them: "?a=1", "&b=2", ";c".
    pieces = [(piece, *piece[1:].partition("=")) for piece in re.findall(r"[?&;][^?&;]*", query)]
    names = [unquote(name).strip() for _, name, _, _ in pieces]
    azure = any(name.lower() == "sig" for name in names)
    kept: list[str] = []
    cutting = False
    for (piece, written, _, value), name in zip(pieces, names, strict=True):
        # A secret may have the lesser separators in itself: "q-sign-time=1;2", "token=ab?cd=".
        goes_on = cutting and piece[0] in "?;" and not value.strip("=")
        cutting = goes_on or bool(_SIGNING.fullmatch(name) or (azure and _AZURE.fullmatch(name)))
        if cutting:
            continue
        inner = unquote(value)
        shown = public_url(inner) if _HAS_HOST.match(inner) else inner
        # An address given to a picture proxy has secrets of its own.
        kept.append(piece if shown == inner else f"{piece[0]}{written}={quote(shown, safe='')}")
    return "?" + "".join(kept)[1:] if kept else ""


def named(url: str) -> str:
    """The address for a message: public, on one line, not longer than 300 characters."""
    shown = _CONTROL.sub("?", public_url(url)).encode("utf-8", "replace").decode()
    return shown if len(shown) <= LONGEST_SHOWN else shown[: LONGEST_SHOWN - 3] + "..."


def read_url(url: str) -> httpx.URL:
    """The address as it is fetched: no user name, password or fragment; a numeric host in its usual form.

    One reader decides what the host is, and what it gives is what is checked and connected to. Path and query stay as
    they are but for characters that no address may have. Raises ItemError blocked_address for anything but http and
    https, and for an address that cannot be read for certain.
    """
    text = url.strip()
    found = _READ.match(text)
    if found is None or found[1].lower() not in DEFAULT_PORTS:
        raise ItemError("blocked_address", f"{named(url)} is no http or https address; no other kind is fetched")
    scheme, authority, rest = found[1].lower(), found[2] or "", found[3]
    place = _PLACE.fullmatch(authority.rpartition("@")[2])
    try:
        if place is None or "\\" in authority or _CONTROL.search(text):
            raise ValueError
        host = f"[{ipaddress.IPv6Address(place[1])}]" if place[1] else _host(place[2])
        port = int(place[3] or DEFAULT_PORTS[scheme])
        if port > 65535:
            raise ValueError
        return httpx.URL(f"{scheme}://{host}:{port}{rest}")
    except (ValueError, httpx.InvalidURL):
        raise ItemError(
            "blocked_address", f"{named(url)} cannot be read as an address for certain; write it in the usual form"
        ) from None


def _host(name: str) -> str:
    # Digits and dots of other scripts become ASCII here, so that what follows sees what the resolver would see.
    host = (name if name.isascii() else URL.build(scheme="http", host=name).raw_host or "").lower()
    if not _NAME.fullmatch(host):
        raise ValueError
    address = literal(host)
    return host if address is None else str(address)
