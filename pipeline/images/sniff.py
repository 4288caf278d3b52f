"""What bytes are that Pillow did not open, told from their beginning and never from a name."""

from __future__ import annotations

from pipeline.core.errors import ItemError
from pipeline.images.pillow import FORMATS

_READABLE: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
)

_OTHER_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\x00\x00\x02\x00", "a cursor (CUR)"),
    (b"icns", "an icon (ICNS)"),
    (b"%!PS", "a PostScript picture (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript picture (EPS)"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"\x01\x00\x00\x00\x58\x00\x00\x00", "a Windows metafile (EMF)"),
    (b"DDS ", "a DirectDraw texture (DDS)"),
    (b"qoif", "a QOI picture"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture (HDR)"),
    (b"AT&TFORM", "a DjVu document"),
    (b"FUJIFILMCCD-RAW", "a camera's raw picture"),
    (b"IIRO", "a camera's raw picture"),
    (b"BPG\xfb", "a BPG picture"),
)

_NO_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"PAR1", "a Parquet file"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"ID3", "a sound file (MP3)"),
    (b"OggS", "a sound or video file (Ogg)"),
    (b"fLaC", "a sound file (FLAC)"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file itself (run git lfs pull)"),
)

_HEIF = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def not_opened(source: bytes) -> ItemError:
    """The failure for bytes that Pillow did not open: not_an_image, unsupported_format or unreadable."""
    if not source:
        return ItemError("not_an_image", "this is empty (0 bytes)")
    if name := _picture_we_read(source):
        return ItemError("unreadable", f"this begins like a {name} picture, but its header is damaged or cut short")
    if name := _other_picture(source):
        return ItemError("unsupported_format", f"this is {name}; convert it to one of {', '.join(FORMATS)}")
    return ItemError("not_an_image", f"this is {_something_else(source)}, not a picture")


def _begins(source: bytes, table: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((name for magic, name in table if source.startswith(magic)), None)


def _picture_we_read(source: bytes) -> str | None:
    if source[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    if source.startswith(b"RIFF") and source[8:12] == b"WEBP":
        return "WEBP"
    if source[:1] == b"P" and source[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6") and source[2:3].isspace():
        return "PPM"
    return _begins(source, _READABLE)


def _other_picture(source: bytes) -> str | None:
    if source[4:8] == b"ftyp" and source[8:12] in _HEIF:
        return "a HEIC picture"
    head = _markup(source)
    if b"<svg" in head and not head.startswith((b"<!doctype html", b"<html")):
        return "an SVG drawing"
    return _begins(source, _OTHER_PICTURES)


def _something_else(source: bytes) -> str:
    if name := _begins(source, _NO_PICTURES):
        return name
    if source[4:8] == b"ftyp":
        return "a video (MP4 or QuickTime)"
    if source.startswith(b"RIFF"):
        return "a sound or video file (RIFF)"
    if source[257:262] == b"ustar":
        return "a tar archive"
    head = _markup(source)
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head or b"<head" in head:
        return "an HTML page"
    if head.startswith(b"<?xml"):
        return "an XML document"
    return _text(source)


def _markup(source: bytes) -> bytes:
    """The first kilobyte in lower case, without a byte order mark and blanks: where markup says what it is."""
    return source[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()


def _text(source: bytes) -> str:
    head = source[:1024]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character cut by the end of the head is no flaw
            return "binary data of no known format"
        text = head[: error.start].decode()
    if not all(character.isprintable() or character.isspace() for character in text):
        return "binary data of no known format"
    return "a JSON text" if text.lstrip().startswith(("{", "[")) else "a text"
