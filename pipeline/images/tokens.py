"""What a picture costs in tokens, by the family of the model, and the size that a budget of tokens allows.

Estimates: a hosted model may count otherwise, and only its usage tells. Formulas and limits are those of transformers
5.23.0 (2026-11-13) for open models and of developers.openai.com, guide "Images and vision" (2026-11-22), for OpenAI's.
Llama 3.2 Vision is left out: it sees pictures through cross-attention, and what a server counts for them is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.images.cells import NativeResolution, Patches, Rows, SmartResize
from pipeline.images.families import Family
from pipeline.images.tiles import Canvas, Constant, SoftBudget, Stretched, Tiles

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "qwen2.5-vl": SmartResize(28, min_pixels=3_136, max_pixels=12_845_056),
        "qwen3-vl": SmartResize(32, min_pixels=65_536, max_pixels=16_777_216),
        "minimax-m3": SmartResize(28, min_pixels=3_136, max_pixels=451_584, thin_side="one cell"),
        "glm-4v": SmartResize(28, min_pixels=12_544, max_pixels=11_760_000, frames=2, thin_side="enlarges"),
        "kimi-k2.5": NativeResolution(28, max_patches=16_384, max_side=7_168),
        "pixtral": Rows(16, max_side=1_024),
        "mistral-3": Rows(28, max_side=1_540),
        "gemma-3": Constant(256),
        "gemma-4": SoftBudget(280),
        "internvl": Stretched(),
        "llama-4": Canvas(336, max_tiles=16, each=144),
        "gpt-4o": Tiles(85, 170),
        "gpt-4o-mini": Tiles(2_833, 5_667),
        "gpt-5": Tiles(70, 140),
        "o1": Tiles(75, 150),
        "gpt-5-mini": Patches(1.62),
        "gpt-5-nano": Patches(2.46),
        "o4-mini": Patches(1.72),
        # The multiplier of the large models is not published; users found about 1.2 (community.openai.com/t/1372291).
        "gpt-5.2": Patches(1.2),
        "gpt-5.4": Patches(1.2, max_patches=2_500),
        "gpt-5.5": Patches(1.2, max_patches=10_000, max_side=6_000),
        "gpt-5.6": Patches(1.2, max_patches=None, max_side=None),
    }
)
"""By the name that a configuration may give. OpenAI's are as for pictures sent without `detail`, that is "auto"."""


def image_tokens(family: str, width: int, height: int) -> int:
    """What a server is expected to count for a picture sent at this size (pixels). Raises KeyError: no such family."""
    return FAMILIES[family].tokens(width, height)


def fitted(family: str, width: int, height: int, max_tokens: int) -> tuple[int, int]:
    """The size at which a picture costs at most `max_tokens`: as it is if it fits, else as large as the family allows.

    Never larger in either side, the proportions kept as nearly as the family's grid has them. Raises KeyError: no such
    family; ValueError: `max_tokens` is less than `smallest(family)`.
    """
    return FAMILIES[family].fitted(width, height, max_tokens)


def smallest(family: str) -> int:
    """The least budget, in tokens, that a picture of any shape can be made to meet. Raises KeyError: no such family."""
    return FAMILIES[family].smallest
