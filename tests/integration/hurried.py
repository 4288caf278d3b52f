"""The real command, which gives a picture from the web fewer seconds than a person would want.

python -m tests.integration.hurried 3 run job.toml
"""

import sys
from functools import partial

import pipeline.app
from pipeline.cli import main
from pipeline.storage.web import WebFetcher

if __name__ == "__main__":
    seconds = float(sys.argv.pop(1))
    pipeline.app.WebFetcher = partial(WebFetcher, deadline_s=seconds)  # type: ignore[assignment, misc]  # all that app.py does with it is to call it
    main()
