"""A job over a few small pictures, asked of the test's fake server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import Job
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures


@pytest.fixture
def new_job(tmp_path: Path, fake_server: FakeServer) -> Callable[..., Job]:
    """`new_job(20, limits={...})` writes so many pictures and gives the job over them; tables as in `Job`."""

    def make(pictures: int, **tables: Any) -> Job:
        write_pictures(tmp_path / "pictures", pictures)
        return Job(tmp_path, tmp_path / "pictures", fake_server.base_url, **tables)

    return make
