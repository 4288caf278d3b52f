"""python -m tests.corpus FOLDER: writes a corpus and says how large it is."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tests.corpus.folder import CORPUS, written


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description="Write a corpus of odd picture files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=2200)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    began = time.monotonic()
    found = written(options.folder, options.files, options.seed)
    megabytes = sum((options.folder / member.image).stat().st_size for member in found) / 1e6
    print(f"{len(found):,} files of {len(CORPUS)} kinds, {megabytes:.0f} MB, {time.monotonic() - began:.0f} s")


main()
