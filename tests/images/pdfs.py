"""Small PDFs, written by hand: only what PDF 1.7 asks for, so that every part can be bent."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

RED, GREEN, BLUE = "1 0 0", "0 1 0", "0 0 1"


@dataclass(frozen=True, slots=True)
class Page:
    """`colour` fills the upper left quarter of the page as it is stored."""

    width: float = 200
    height: float = 100
    colour: str = RED
    more: str = ""
    content: str | None = None
    objects: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def drawing(self) -> bytes:
        if self.content is not None:
            return self.content.encode()
        half = (self.width / 2, self.height / 2)
        return f"{self.colour} rg 0 {half[1]} {half[0]} {half[1]} re f".encode()


def stream(data: bytes, entries: str = "") -> bytes:
    return f"<< /Length {len(data)} {entries} >>\nstream\n".encode() + data + b"\nendstream"


def pdf(*pages: Page, trailer: str = "", catalog: str = "", version: str = "1.7", count: int | None = None) -> bytes:
    """A whole document. Objects 1 and 2 are the catalog and the page tree; pages begin at 100, ten numbers each."""
    objects: dict[int, bytes] = {}
    kids = " ".join(f"{100 + 10 * number} 0 R" for number in range(len(pages)))
    objects[1] = f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode()
    objects[2] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages) if count is None else count} >>".encode()
    for number, page in enumerate(pages):
        first = 100 + 10 * number
        box = f"/MediaBox [0 0 {page.width} {page.height}]"
        contents = "" if "/Contents" in page.more else f"/Contents {first + 1} 0 R"
        entries = f"/Type /Page /Parent 2 0 R {box} {contents} {page.more}"
        objects[first] = f"<< {entries} >>".encode()
        objects[first + 1] = stream(page.drawing)
        objects |= page.objects
    return _written(objects, trailer, version)


def _written(objects: Mapping[int, bytes], trailer: str, version: str) -> bytes:
    out = bytearray(f"%PDF-{version}\n%\xe2\xe3\xcf\xd3\n".encode("latin-1"))
    places = {}
    for number, body in sorted(objects.items()):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start, size = len(out), max(objects) + 1
    out += f"xref\n0 {size}\n".encode()
    for number in range(size):
        place = places.get(number)
        out += b"0000000000 65535 f \n" if place is None else f"{place:010} 00000 n \n".encode()
    out += f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def encrypted() -> bytes:
    """A document that no empty password opens: its /O and /U are of a password that nobody knows (RC4, 40 bits)."""
    keys = f"/O <{'5a' * 32}> /U <{'a5' * 32}>"
    return pdf(
        Page(), trailer=f"/ID [<{'00' * 16}> <{'00' * 16}>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 {keys} >>"
    )


def bomb(megabytes: int) -> bytes:
    """A page whose drawing is blanks, packed twice: three kilobytes that unpack to so many megabytes."""
    packed = zlib.compressobj(9)
    once = b"".join(packed.compress(b" " * 1_000_000) for _ in range(megabytes)) + packed.flush()
    blanks = stream(zlib.compress(once, 9), "/Filter [/FlateDecode /FlateDecode]")
    return pdf(Page(more="/Contents 50 0 R", objects={50: blanks}))


def with_form() -> bytes:
    """A page with a text field that somebody has filled in: what it shows is a green box over all of it."""
    shown = stream(b"0 1 0 rg 0 0 200 100 re f", "/Type /XObject /Subtype /Form /BBox [0 0 200 100]")
    widget = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (typed) /F 4 /Rect [0 0 200 100] /P 100 0 R "
        b"/AP << /N 51 0 R >> >>"
    )
    page = Page(content="", more="/Annots [50 0 R]", objects={50: widget, 51: shown})
    return pdf(page, catalog="/AcroForm << /Fields [50 0 R] >>")


def scan(width: int, height: int, over: str = "") -> bytes:
    """A page of 200 x 100 points that a picture of `width` x `height` pixels fills; `over` is drawn above it."""
    picture = stream(
        zlib.compress(bytes(width * height)),
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceGray /BitsPerComponent 8 "
        "/Filter /FlateDecode",
    )
    font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    resources = f"/Resources << /XObject << /P 50 0 R >> {font} >>"
    return pdf(Page(content=f"q 200 0 0 100 0 0 cm /P Do Q {over}", more=resources, objects={50: picture}))


def colours(count: int) -> Sequence[tuple[int, int, int]]:
    """So many colours that no two can be confused."""
    return [(20 * (n % 12), 255 - 20 * (n % 12), 120 * (n // 12 % 3)) for n in range(count)]
