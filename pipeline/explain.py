"""What went wrong, in words and as an exit code."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.errors import ConfigError, HeldError, VlmBatchError


def explained(error: BaseException) -> tuple[int, list[str]]:
    """The exit code, and each problem once. Anything but ours is a bug and is raised."""
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, VlmBatchError) for leaf in leaves):
        raise error
    problems = [problem for leaf in leaves for problem in (leaf.problems if isinstance(leaf, ConfigError) else [leaf])]
    words = list(dict.fromkeys(map(str, problems)))
    if isinstance(leaves[0], ConfigError):
        return 2, words
    return 75 if isinstance(leaves[0], HeldError) else 1, words


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside a group, however deep: several tasks may meet the same full disk."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
