"""What the whole suite shares: the servers it talks to, and quiet logs."""

import logging

import structlog
from hypothesis import settings

from tests.support.fixtures import *  # noqa: F403 - the names are listed there

# Thousands of simulated retries would drown what a failing test prints; tests that need events capture them.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

# How long an example takes says how busy the machine is, and what a library takes to load the first time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
