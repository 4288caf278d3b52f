"""Which addresses a picture may come from: a manifest is written by others, and this machine sees more than they do.

Every address is judged by what a socket would connect to. An IPv4 address inside an IPv6 one counts as itself where
the network translates it (IPv4-mapped; NAT64, RFC 6052), and is refused where it is only a tunnel's (6to4, Teredo).
Table: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates up to RFC 9637), as they
stood on 2026-11-25; written out, since Python's own differs from one patch release to the next.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from anyio import CapacityLimiter, to_thread

from pipeline.core.errors import ItemError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""A name's addresses, of either family, in the order in which to try them. Raises OSError."""

LOOKUPS_AT_ONCE: Final = 32
"""A dead name server holds a thread for many seconds; it must not hold those that read files."""

_KINDS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("a cloud's metadata", ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")),
    ("an unspecified", ("0.0.0.0/8", "::/128")),
    ("a loopback", ("127.0.0.0/8", "::1/128")),
    ("a private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
    ("a link-local", ("169.254.0.0/16", "fe80::/10")),
    ("a multicast", ("224.0.0.0/4", "ff00::/8")),
    (
        "a reserved",
        (
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
            *("::/3", "4000::/2", "8000::/1"),  # all that is not 2000::/3, the global unicast space
        ),
    ),
)
_TABLE: Final = [(kind, ipaddress.ip_network(net)) for kind, nets in _KINDS for net in nets]
"""The first match counts."""

_OWN: Final = frozenset({"a loopback", "a private"})
"""What `allow_private` permits. A cloud's metadata is never a picture."""

_TRANSLATED: Final = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def refusal(address: IPAddress, *, allow_private: bool) -> str | None:
    """Why this address is not contacted, as words that fit before "address"; None when it may be."""
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _TRANSLATED):
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    kind = next((kind for kind, network in _TABLE if address in network), None)
    return None if allow_private and kind in _OWN else kind


def literal(host: str) -> IPAddress | None:
    """The address that a host part spells; None when it is a name. Raises ValueError for neither.

    Besides the usual forms these are all that sockets take (inet_aton): 2130706433, 0x7f.1, 0177.0.0.1, 127.1; a final
    dot does not make a name of them. Whatever ends in a number is meant as an address (WHATWG URL, "ends in a number").
    """
    if ":" in host:
        return ipaddress.IPv6Address(host)
    bare = host.removesuffix(".")
    if not _NUMBER.fullmatch(bare.rpartition(".")[2]):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except OSError:
        raise ValueError(f"{host} is no address") from None


def check_host(host: str, *, allow_private: bool) -> None:
    """Refuse what needs no lookup: an address in place of a name, and this machine's name. Raises ItemError."""
    address = literal(host)
    if address is not None:
        _check(host, address, allow_private=allow_private)
    elif f".{host.removesuffix('.')}".endswith(".localhost") and not allow_private:
        raise ItemError("blocked_address", f"{host} is this machine itself; {_ADVICE}")


class CheckedResolver(AbstractResolver):
    """Looks a name up, checks every address it has, and hands over exactly those: what is connected to was checked.

    A name that has one refused address among others is refused as a whole. Raises ItemError: blocked_address, or
    fetch_failed for a name that does not exist; OSError for a lookup that may work another time.
    """

    def __init__(self, *, allow_private: bool, lookup: Lookup | None = None) -> None:
        self._allow_private = allow_private
        self._lookup = lookup or self._ask_system
        self._limiter = CapacityLimiter(LOOKUPS_AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The checked addresses of either family, as aiohttp's connector wants them."""
        del family  # the connector of `http.py` asks for any
        try:
            addresses = [ipaddress.ip_address(found) for found in await self._lookup(host)]
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                raise ItemError("fetch_failed", f"there is no host named {host}") from None
            raise
        if not addresses:
            raise ItemError("fetch_failed", f"the host {host} has no address")
        for address in sorted(addresses, key=lambda address: (address.version, int(address))):  # the same words always
            _check(host, address, allow_private=self._allow_private)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""

    async def _ask_system(self, host: str) -> list[str]:
        ask = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        # Abandoned: a thread in getaddrinfo cannot be stopped, and the fetch must not outlive its deadline.
        found = await to_thread.run_sync(ask, abandon_on_cancel=True, limiter=self._limiter)
        return [str(sockaddr[0]) for *_, sockaddr in found]


_ADVICE: Final = "only addresses of the public internet are fetched, unless manifest.allow_private is true"


def _check(host: str, address: IPAddress, *, allow_private: bool) -> None:
    kind = refusal(address, allow_private=allow_private)
    if kind is not None:
        means = kind if host == str(address) else f"{address}, {kind}"
        raise ItemError("blocked_address", f"{host} is {means} address; {_ADVICE}")
