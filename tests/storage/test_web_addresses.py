"""What is contacted: names are looked up once, every address is checked, and only what was checked is dialled."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.storage.addresses import literal, refusal
from pipeline.storage.urls import read_url
from pipeline.storage.web import WebFetcher
from tests.support.rude_server import RudeServer, answer, dialled, redirect
from tests.support.virtual_time import run_virtual

PUBLIC, OTHER = "8.8.8.8", "1.1.1.1"


class Names:
    """A name server that answers each name's list of answers in turn, the last one for ever."""

    def __init__(self, **answers: Sequence[Sequence[str] | OSError]) -> None:
        self._answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        left = self._answers.get(host, [socket.gaierror(socket.EAI_NONAME, "Name or service not known")])
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, OSError):
            raise found
        return found


def fetched(names: Names, *urls: str, server: RudeServer | None = None, **options: Any) -> tuple[list[Any], list[str]]:
    """What each address gave, one after the other, and what was dialled. The server is reached at PUBLIC and OTHER."""
    served = server or RudeServer({})

    async def scenario() -> tuple[list[Any], list[str]]:
        given: list[Any] = []
        async with served, WebFetcher(lookup=names, **options) as fetcher:
            with dialled({PUBLIC: served.port, OTHER: served.port}) as addresses:
                for url in urls:
                    try:
                        given.append((await fetcher.fetch(url.replace("PORT", str(served.port)))).data)
                    except ItemError as error:
                        given.append(error)
        return given, addresses

    return run_virtual(scenario)


def blocked(*urls: str, names: Names | None = None, **options: Any) -> list[str]:
    given, addresses = fetched(names or Names(), *urls, **options)
    for url, error in zip(urls, given, strict=True):
        assert isinstance(error, ItemError), url
        assert error.kind == "blocked_address", (url, error.message)
    assert addresses == []
    return [error.message for error in given]


def test_a_name_of_the_public_internet_is_dialled_under_its_name() -> None:
    server = RudeServer({"/a": answer(200, b"picture")})
    names = Names(pictures_example=[[PUBLIC]])
    given, addresses = fetched(names, "http://Pictures.example/a", server=server)
    assert (given, addresses, names.asked) == ([b"picture"], [PUBLIC], ["pictures.example"])
    assert server.visits[0].headers["host"] == "pictures.example"


def test_a_name_that_changes_its_address_never_leads_inside() -> None:
    """DNS rebinding: public when it is checked, loopback from then on."""
    server = RudeServer({"/a": answer(200, b"picture", (("Connection", "close"),))})
    names = Names(rebinding_example=[[PUBLIC], ["127.0.0.1"]])
    url = "http://rebinding.example:PORT/a"
    given, addresses = fetched(names, url, url, url, server=server)
    assert given[0] == b"picture"
    assert [error.kind for error in given[1:]] == ["blocked_address"] * 2
    assert addresses == [PUBLIC], "one lookup a connection: what was checked is what was dialled"
    assert len(server.visits) == 1


def test_the_first_address_that_connects_is_taken_of_those_checked() -> None:
    server = RudeServer({"/a": answer(200, b"picture")})
    given, addresses = fetched(Names(two_example=[["9.9.9.9", OTHER]]), "http://two.example/a", server=server)
    assert (given, addresses) == ([b"picture"], ["9.9.9.9", OTHER])


@pytest.mark.parametrize("spelled", ["134744072", "0x08.8.8.8", "010.8.2056", "8.8.8.8.", "８.８.８.８"])
def test_an_odd_spelling_of_a_public_address_is_dialled_as_what_it_is(spelled: str) -> None:
    server = RudeServer({"/a": answer(200, b"picture")})
    given, addresses = fetched(Names(), f"http://{spelled}/a", server=server)
    assert (given, addresses, server.visits[0].headers["host"]) == ([b"picture"], [PUBLIC], PUBLIC)


@pytest.mark.parametrize(
    "inside",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0", "::1", "fd00::1", "fe80::1%2", "::ffff:10.0.0.1"],  # noqa: S104 - addresses to be refused
)
def test_a_name_with_one_address_inside_is_refused_whole(inside: str) -> None:
    (message,) = blocked("http://mixed.example/a", names=Names(mixed_example=[[PUBLIC, inside]]))
    assert message.startswith("cannot fetch http://mixed.example/a: mixed.example is ")
    assert f" {ipaddress.ip_address(inside)}, a" in message


@pytest.mark.parametrize(
    "to",
    [
        *("http://127.0.0.1:PORT/secret", "http://inside.example:PORT/secret", "//[::1]:PORT/", "//localhost:PORT/"),
        *("http://10.1.2.3/", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:127.0.0.1]:PORT/secret"),
        *("http://2130706433:PORT/secret", "http://0177.0.0.1:PORT/secret", "http://0x7f.1:PORT/secret"),
    ],
)
def test_a_redirect_does_not_lead_inside(to: str) -> None:
    server = RudeServer({"/secret": answer(200, b"secret"), "/": answer(200, b"secret")})

    async def page(visit: Any, writer: asyncio.StreamWriter) -> None:
        await redirect(to.replace("PORT", str(server.port)))(visit, writer)

    server.pages["/a"] = page
    names = Names(pictures_example=[[PUBLIC]], inside_example=[["127.0.0.1"]])
    (error,), addresses = fetched(names, "http://pictures.example/a", server=server)
    assert (error.kind, addresses, server.paths) == ("blocked_address", [PUBLIC], ["/a"])
    assert error.message.startswith("http://pictures.example/a redirects: ")


def test_https_does_not_become_http() -> None:
    from pipeline.storage.web import _next

    with pytest.raises(ItemError, match="http after https") as caught:
        _next(read_url("https://pictures.example/a"), "http://pictures.example/b")
    assert caught.value.kind == "blocked_address"
    assert str(_next(read_url("http://pictures.example/a"), "https://pictures.example/b")).startswith("https:")
    assert str(_next(read_url("https://pictures.example/a"), "//b.example/b")).startswith("https:")


def test_tls_is_asked_for_under_the_name() -> None:
    hellos: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hellos.append(await reader.read(4096))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> tuple[ItemError, list[str]]:
        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with WebFetcher(lookup=Names(pictures_example=[[PUBLIC]])) as fetcher:
                with dialled({PUBLIC: port}) as addresses, pytest.raises(ItemError) as caught:
                    await fetcher.fetch("https://pictures.example/a?token=SECRET")
        return caught.value, addresses

    error, addresses = run_virtual(scenario)
    assert (error.kind, addresses) == ("fetch_failed", [PUBLIC] * 3)
    assert error.message == "cannot fetch https://pictures.example/a: no TLS connection came about"
    assert all(b"pictures.example" in hello for hello in hellos)


@pytest.mark.parametrize(
    ("failure", "asked", "words"),
    [
        ([], 1, "the host lost.example has no address"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), 1, "there is no host named lost.example"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), 3, "its host could not be looked up"),
    ],
)
def test_a_name_without_an_address_is_failed(failure: OSError | list[str], asked: int, words: str) -> None:
    names = Names(lost_example=[failure])
    (error,), addresses = fetched(names, "http://lost.example/a")
    assert (error.kind, addresses, len(names.asked)) == ("fetch_failed", [], asked)
    assert error.message == f"cannot fetch http://lost.example/a: {words}"


def test_a_refused_connection_is_failed_after_three_attempts() -> None:
    (error,), addresses = fetched(Names(down_example=[["9.9.9.9"]]), "http://down.example/a")
    assert (error.kind, addresses) == ("fetch_failed", ["9.9.9.9"] * 3)
    assert error.message == "cannot fetch http://down.example/a: no connection (Connection refused)"


def test_a_lookup_that_hangs_does_not_outlive_the_deadline() -> None:
    async def lookup(_: str) -> list[str]:
        await anyio.sleep(1000)
        raise AssertionError

    async def scenario() -> tuple[str, float]:
        async with WebFetcher(lookup=lookup) as fetcher:
            with pytest.raises(ItemError) as caught:
                await fetcher.fetch("http://pictures.example/a")
            return caught.value.kind, anyio.current_time()

    kind, seconds = run_virtual(scenario)
    assert (kind, seconds <= 60) == ("fetch_timeout", True)


def test_the_system_is_asked_when_nobody_else_is() -> None:
    server = RudeServer({"/a": answer(200, b"picture")})

    async def scenario(allow_private: bool) -> bytes:
        async with server, WebFetcher(allow_private=allow_private) as fetcher:
            return (await fetcher.fetch(server.url("/a", host="localhost"))).data

    assert run_virtual(scenario, True) == b"picture"
    with pytest.raises(ItemError, match="localhost is this machine itself") as caught:
        run_virtual(scenario, False)
    assert caught.value.kind == "blocked_address"


def test_what_is_no_web_address_is_not_looked_up() -> None:
    names = Names()
    blocked(
        *("file:///etc/passwd", "ftp://ex.org/a", "gopher://ex.org/", "data:image/png;base64,AA", "/etc/passwd", ""),
        *("http:/ex.org", "http:ex.org", "//ex.org/a", "http://", "http:///a", "http://ex.org:99999/", "http://a..b/"),
        *("http://ex.org:x/", "http://good.example\\@evil.example/", "http://ex.org/a\nb", "http://ex.org/\ud800"),
        *(
            "http://[fe80::1%25eth0]/",
            "http://ex%2eorg/",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://[1.2.3.4]/",
        ),
        *("http://localhost/", "http://LocalHost./a", "http://a.localhost/", "http://e x.org/", "http://：：1/"),
        *("http://" + "a" * 64 + ".org/", "http://" + "é" * 64 + ".org/", "http://ex.org/" + "a" * 70_000),
        names=names,
    )
    assert names.asked == []


INSIDE = [
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1"),  # noqa: S104 - addresses to be refused
    *("255.255.255.255", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("168.63.129.16", "100.100.100.200"),
]


def spellings(address: str) -> list[str]:
    """How a socket, a browser or a translating network can be told this IPv4 address."""
    value = int(ipaddress.IPv4Address(address))
    a, b, c, d = address.split(".")
    wide = "".join(chr(ord(char) - ord("0") + ord("０")) if char.isdigit() else "。" for char in address)
    rest = value & 0xFFFFFF
    low = f"{value >> 16:x}:{value & 0xFFFF:x}"
    return [
        *(address, address + ".", str(value), hex(value), f"0X{value:08X}", f"0{value:o}", f"{a}.{rest}"),
        *(f"{a}.{b}.{value & 0xFFFF}", f"0x{int(a):x}.0x{rest:x}", f"0{int(a):o}.0{int(b):o}.{c}.0x{int(d):x}", wide),
        *(f"[::ffff:{address}]", f"[::FFFF:{low}]", f"[0:0:0:0:0:ffff:{low}]", f"[64:ff9b::{address}]"),
        *(f"[2002:{low}::]", f"[::{address}]", f"[2001:0:{low}::1]", f"[64:ff9b:1::{address}]"),
        *(address.replace(".", "%2e"), f"%{ord(a[0]):x}{address[1:]}", f"user:word@{address}", f"ex.org@{address}"),
    ]


def test_no_spelling_of_an_ipv6_address_inside_is_dialled() -> None:
    inside = ("::1", "0:0:0:0:0:0:0:1", "0000::0001", "::", "fe80::1", "febf::1", "fc00::1", "fd12::1", "ff02::1")
    blocked(
        *(f"http://{before}[{address}]{port}/a" for address in inside for before in ("", "a@") for port in ("", ":80"))
    )


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.sampled_from(INSIDE), st.ip_addresses(v=4, network="10.0.0.0/8").map(str)), st.data())
@example("127.0.0.1", None)
def test_no_spelling_of_an_address_inside_is_dialled(address: str, data: st.DataObject | None) -> None:
    hosts = spellings(address)
    host = hosts if data is None else [data.draw(st.sampled_from(hosts))]
    blocked(*[f"http://{spelled}:80/a" for spelled in host])


@given(st.text(alphabet="0123456789abcdefxX.０１。", min_size=1, max_size=20))
def test_what_a_socket_takes_for_an_address_is_what_is_checked(host: str) -> None:
    try:
        read = read_url(f"http://{host}/").raw_host.decode()
    except ItemError:
        return
    if host.isascii():
        try:
            assert read == socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
        except OSError:
            assert literal(read) is None, "a name, to be looked up"
            assert read == host.lower()


@pytest.mark.parametrize(
    "address",
    [
        *(PUBLIC, OTHER, "11.0.0.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "223.255.255.255", "198.20.0.1"),
        *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:200::1", "3ffe::1"),
    ],
)
def test_the_public_internet_is_not_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address), allow_private=False) is None


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_let_through(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    # Python calls all of NAT64 reserved; it is judged by what it leads to.
    inside = address.is_private or address.is_multicast or address.is_loopback or address.is_link_local
    assert not inside or refusal(address, allow_private=False)


def test_private_addresses_can_be_allowed_and_no_others() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "192.168.0.1", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"):
        assert refusal(ipaddress.ip_address(address), allow_private=True) is None
    for address in ("169.254.169.254", "169.254.0.1", "0.0.0.0", "224.0.0.1", "fe80::1", "fd00:ec2::254", "ff02::1"):  # noqa: S104 - addresses to be refused
        assert refusal(ipaddress.ip_address(address), allow_private=True)
