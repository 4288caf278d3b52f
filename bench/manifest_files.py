"""Long manifests of addresses, and Parquet files full of pictures, as common tools write them."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PICTURE_BYTES = 200_000
_GROUP = 100_000
_STEP = 7_919
"""Numbers in addresses go up by so much: they differ, and are not the row's."""


def write_addresses(path: Path, rows: int) -> None:
    """A row a picture: its address, a text, and a number to keep. A .parquet, or a .csv.gz."""
    if path.suffix == ".gz":
        with gzip.open(path, "wt", compresslevel=1) as file:
            file.write("URL,TEXT,n\n")
            for first, urls in _addresses(rows):
                file.writelines(f"{url},{_text(number)},{number}\n" for number, url in enumerate(urls, first))
        return
    schema = pa.schema([("URL", pa.string()), ("TEXT", pa.string()), ("n", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for first, urls in _addresses(rows):
            numbers = range(first, first + len(urls))
            writer.write_table(pa.table([urls, list(map(_text, numbers)), list(numbers)], schema=schema))


def _addresses(rows: int) -> Iterator[tuple[int, list[str]]]:
    """Piece by piece, with the number of each piece's first row."""
    for first in range(0, rows, _GROUP):
        numbers = range(first, min(rows, first + _GROUP))
        yield first, [f"https://images{n % 97}.example.org/of/{n * _STEP:012}.jpg?w=1024" for n in numbers]


def _text(number: int) -> str:
    return f"picture {number} of a collection"


def write_pictures(path: Path, pictures: int, group: int) -> None:
    """Hugging Face images, `group` in a row group; noise behind the head of a JPEG, since nothing decodes them.

    Everything else is as pyarrow writes by default: Snappy, and 1,024 pictures in a page where the row group is large.
    """
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    source = random.Random(1)
    with pq.ParquetWriter(path, pa.schema([("image", kind)])) as writer:
        for first in range(0, pictures, group):
            images = [
                {"bytes": b"\xff\xd8\xff\xe0" + source.randbytes(PICTURE_BYTES - 4), "path": f"{number}.jpg"}
                for number in range(first, min(pictures, first + group))
            ]
            writer.write_table(pa.table([pa.array(images, kind)], ["image"]), row_group_size=group)
