"""What lies among pictures and is none, or none that is read."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tarfile
import zipfile
from functools import partial

from tests.corpus.drawing import encoded, photo
from tests.corpus.recipe import FOREIGN, ROW, TORN, UNSUPPORTED, Shelf

STRANGERS = Shelf("stranger")
_DECLARED = b'<?xml version="1.0"?>\n<!-- drawn -->\n'
_SAID = ("Not Found", "Access Denied", "Bad Gateway", "Please sign in", "Too Many Requests")


def _page(dice: random.Random, before: bytes = b"<!DOCTYPE html>\n") -> bytes:
    said = dice.choice(_SAID)
    return before + f"<html><head><title>{said}</title></head><body><h1>{said}</h1></body></html>\n".encode()


def _xml(dice: random.Random) -> bytes:
    code = dice.choice(_SAID).replace(" ", "")
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><HostId>{dice.random()}</HostId></Error>'.encode()


def _svg(dice: random.Random, before: bytes) -> bytes:
    side = dice.randint(10, 900)
    return before + b'<svg xmlns="http://www.w3.org/2000/svg" width="%d"><circle r="%d"/></svg>' % (side, side // 2)


def _pointer(dice: random.Random) -> bytes:
    lines = (b"version https://git-lfs.github.com/spec/v1", b"oid sha256:" + dice.randbytes(32).hex().encode())
    return b"\n".join((*lines, b"size %d" % dice.randrange(10**6), b""))


def _json(dice: random.Random) -> bytes:
    return json.dumps({"error": {"code": dice.randint(400, 599), "message": dice.choice(_SAID)}}).encode()


def _text(dice: random.Random) -> bytes:
    return " ".join(dice.choice(("lorem", "ipsum", "dolor", "Größe", "図")) for _ in range(200)).encode()


def _zip(dice: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.jpg"), encoded(photo(dice), "JPEG"))
    return out.getvalue()


def _tar(dice: random.Random) -> bytes:
    out = io.BytesIO()
    content = encoded(photo(dice), "JPEG")
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("a.jpg")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _boxes(dice: random.Random, brand: bytes) -> bytes:
    """The head of an ISO media file (ISO 14496-12), then what no decoder here reads."""
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + brand * 2 + dice.randbytes(400)


def _pdf(dice: random.Random) -> bytes:
    return encoded(photo(dice), "PDF", creationDate=None, modDate=None)


def drawn_pdf(dice: random.Random, pages: int = 1) -> bytes:
    """A PDF of `pages` pages with a red field on each, every object at the place that its table names."""
    width = dice.randint(100, 400)
    content = b"1 0 0 rg 10 10 %d 40 re f" % (width // 2)
    kids = b" ".join(b"%d 0 R" % (4 + number) for number in range(pages))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d 90]/Contents 3 0 R/Resources<<>>>>" % width
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, pages),
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content),
        *([page] * pages),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + trailer


def _torn_pdf(dice: random.Random) -> bytes:
    whole = drawn_pdf(dice)
    return whole[: dice.randint(9, 60)]


def _rubbish(dice: random.Random) -> bytes:
    return b"\x93" + dice.randbytes(dice.randint(20, 5000))


for name, brand in (("heic", b"heic"), ("heix", b"heix"), ("mif1", b"mif1")):
    STRANGERS.put(f"head of HEIC {name}", ".heic", partial(_boxes, brand=brand), UNSUPPORTED)
STRANGERS.put("SVG", ".svg", partial(_svg, before=b""), UNSUPPORTED)
STRANGERS.put("SVG with a declaration", ".png", partial(_svg, before=_DECLARED), UNSUPPORTED)
STRANGERS.put("PSD", ".psd", lambda dice: b"8BPS\0\x01" + bytes(6) + b"\0\x03" + dice.randbytes(300), UNSUPPORTED)
STRANGERS.put("ICO", ".ico", lambda dice: encoded(photo(dice, (32, 32)), "ICO", sizes=[(16, 16)]), UNSUPPORTED)
STRANGERS.put("JPEG 2000", ".jp2", lambda dice: encoded(photo(dice), "JPEG2000"), UNSUPPORTED)
STRANGERS.put("JPEG 2000 stream", ".j2k", lambda dice: encoded(photo(dice), "JPEG2000", no_jp2=True), UNSUPPORTED)
STRANGERS.put("QOI", ".qoi", lambda dice: b"qoif" + dice.randbytes(200), UNSUPPORTED)
STRANGERS.put("EPS", ".eps", lambda dice: encoded(photo(dice), "EPS"), UNSUPPORTED)
STRANGERS.put("DDS", ".dds", lambda dice: encoded(photo(dice), "DDS"), UNSUPPORTED)
STRANGERS.put("ICNS", ".icns", lambda dice: b"icns" + struct.pack(">I", 300) + dice.randbytes(292), UNSUPPORTED)
PAGE = ROW | UNSUPPORTED
"""A PDF is opened where its reader is installed."""
STRANGERS.put("PDF", ".pdf", _pdf, PAGE)
STRANGERS.put("PDF with drawings", ".pdf", drawn_pdf, PAGE)
STRANGERS.put("PDF of 30 pages", ".pdf", partial(drawn_pdf, pages=30), PAGE)
STRANGERS.put("PDF torn", ".pdf", _torn_pdf, TORN | UNSUPPORTED)
STRANGERS.put("PDF of rubbish", ".pdf", lambda dice: b"%PDF-1.7\n" + dice.randbytes(800), TORN | UNSUPPORTED)
STRANGERS.put("HTML page", ".jpg", _page, FOREIGN)
STRANGERS.put("HTML page after blanks", ".png", partial(_page, before=b"\xef\xbb\xbf\r\n\r\n"), FOREIGN)
STRANGERS.put("XML error", ".jpg", _xml, FOREIGN)
STRANGERS.put("Git LFS pointer", ".png", _pointer, FOREIGN)
STRANGERS.put("JSON", ".jpg", _json, FOREIGN)
STRANGERS.put("text", ".txt", _text, FOREIGN)
STRANGERS.put("text in a picture's name", ".gif", _text, FOREIGN)
STRANGERS.put("empty", ".jpg", lambda dice: b"", FOREIGN)
STRANGERS.put("one byte", ".png", lambda dice: dice.randbytes(1), FOREIGN)
STRANGERS.put("zeros", ".jpg", lambda dice: bytes(dice.randint(2, 70_000)), FOREIGN)
STRANGERS.put("rubbish", ".webp", _rubbish, FOREIGN)
STRANGERS.put("ELF", ".jpg", lambda dice: b"\x7fELF\x02\x01\x01" + dice.randbytes(500), FOREIGN)
STRANGERS.put("MP4", ".mp4", partial(_boxes, brand=b"isom"), FOREIGN)
STRANGERS.put("sound", ".webp", lambda dice: b"RIFF\x2c\x01\0\0WAVEfmt " + dice.randbytes(288), FOREIGN)
STRANGERS.put("tar", ".tar", _tar, FOREIGN)
STRANGERS.put("zip", ".zip", _zip, FOREIGN)
STRANGERS.put("gzip", ".jpg.gz", lambda dice: gzip.compress(_text(dice), mtime=0), FOREIGN)
STRANGERS.put("base64", ".jpg", lambda dice: b"/9j/4AAQSkZJRgABAQ" + dice.randbytes(300).hex().encode(), FOREIGN)
STRANGERS.put("data URI", ".jpg", lambda dice: b"data:image/jpeg;base64," + dice.randbytes(99).hex().encode(), FOREIGN)
