"""Names the colours that fill most of a picture."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
"""Width and height in pixels of the thumbnail that is counted."""
SHARE = 0.15
"""A second colour is named if it fills at least this share of the picture."""

_HUES = (
    (15, "red"),
    (42, "orange"),
    (68, "yellow"),
    (165, "green"),
    (195, "turquoise"),
    (255, "blue"),
    (290, "purple"),
    (345, "pink"),
    (360, "red"),
)
"""(end of the range in degrees, name) around the HSV hue circle."""


def main_colours(picture: Image.Image) -> list[str]:
    """One or two colour names for an RGB picture, the commonest first."""
    names, counts = np.unique(_name(_hsv(picture)), return_counts=True)
    order = sorted(range(len(names)), key=lambda index: (-int(counts[index]), str(names[index])))
    enough = [str(names[index]) for index in order if counts[index] >= SHARE * SIDE * SIDE]
    return (enough or [str(names[order[0]])])[:2]


def _hsv(picture: Image.Image) -> NDArray[np.float64]:
    """SIDE x SIDE x (hue in degrees, saturation 0 to 1, value 0 to 1)."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX).convert("HSV")
    return np.asarray(small, dtype=np.float64) / 255.0 * (360.0, 1.0, 1.0)


def _name(hsv: NDArray[np.float64]) -> NDArray[np.str_]:
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    ends = np.array([end for end, _ in _HUES], dtype=np.float64)
    named = np.array([name for _, name in _HUES])[np.minimum(np.searchsorted(ends, hue), len(_HUES) - 1)]
    warm = (hue < 60) | (hue >= 345)
    # The eye calls dark or dull orange brown and pale orange beige; no hue range can say either.
    named = np.where(warm & (hue < 345) & (hue >= 10) & (value < 0.65), "brown", named)
    named = np.where(warm & (value >= 0.65) & (saturation < 0.45) & (hue >= 10) & (hue < 345), "beige", named)
    grey = (saturation < 0.15) | ((value < 0.35) & (saturation < 0.3))
    named = np.where(grey, "grey", named)
    named = np.where((saturation < 0.1) & (value >= 0.85), "white", named)
    return np.where(value < 0.2, "black", named)
