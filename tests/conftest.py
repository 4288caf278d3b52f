"""Fixtures of the whole suite: the servers it talks to."""

from tests.support.fixtures import *  # noqa: F403 - the names are listed there
