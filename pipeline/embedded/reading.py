"""Puts recognised boxes of text into the order in which a person would read them.

Lines go top to bottom, boxes on one line left to right. A page is first split at a white gutter if the two sides are
columns of their own (after the recursive X-Y cut of Nagy and Seth, 1984): boxes that cross the gutter, such as a
headline, end one pair of columns and begin the next. A gutter whose two sides share their lines is a table, a receipt
or a form, and is read across.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

COLUMN_LINES = 3
"""Lines a column has at least."""
CROSSING = 0.2
"""Share of the boxes that may cross a gutter (headlines, rules, page numbers)."""
PROSE = 20
"""Median characters a line from which on two columns that share their lines are prose, not cells of a table."""
SHARED = 0.5
"""Share of the shorter side's lines with a partner on the same height, from which on the sides share their lines."""


class Box(NamedTuple):
    """Text with its place: edges and centre in pixels after the page was turned level; height is the line's own."""

    text: str
    left: float
    right: float
    centre: float
    height: float


def level(quads: Sequence[Sequence[tuple[float, float]]], texts: Sequence[str]) -> list[Box]:
    """Boxes from four corners each (clockwise from the top left, in pixels), with the page's common tilt taken out."""
    tilt = _tilt(quads)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    boxes = []
    for corners, text in zip(quads, texts, strict=True):
        xs = [x * cosine + y * sine for x, y in corners]
        ys = [y * cosine - x * sine for x, y in corners]
        height = math.dist(corners[0], corners[3])
        boxes.append(Box(text, min(xs), max(xs), sum(ys) / 4, max(height, 1.0)))
    return boxes


def _tilt(quads: Sequence[Sequence[tuple[float, float]]]) -> float:
    """Median angle in radians of the top edges that are long enough to tell one."""
    angles = [
        math.atan2(quad[1][1] - quad[0][1], quad[1][0] - quad[0][0])
        for quad in quads
        if math.dist(quad[0], quad[1]) > 3 * math.dist(quad[0], quad[3])
    ]
    return median(angles) if angles else 0.0


def read_lines(boxes: Sequence[Box]) -> list[list[Box]]:
    """Lines in reading order, each its boxes from left to right."""
    gutter = _gutter(boxes)
    if gutter is None:
        return _rows(boxes)
    crossing = [box for box in boxes if box.left < gutter < box.right]
    beside = [box for box in boxes if not box.left < gutter < box.right]
    lines: list[list[Box]] = []
    ceiling = -math.inf
    for row in _rows(crossing):
        floor = min(box.centre for box in row)
        lines += _columns([box for box in beside if ceiling <= box.centre < floor], gutter)
        lines.append(row)
        ceiling = floor
    return lines + _columns([box for box in beside if box.centre >= ceiling], gutter)


def _columns(boxes: Sequence[Box], gutter: float) -> list[list[Box]]:
    left = [box for box in boxes if box.right <= gutter]
    right = [box for box in boxes if box.right > gutter]
    return [line for side in (left, right) if side for line in read_lines(side)]


def _rows(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes whose centres lie within half a line of each other, top to bottom; each row left to right."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda one: one.centre):
        if rows and box.centre - rows[-1][-1].centre < 0.5 * min(box.height, rows[-1][-1].height):
            rows[-1].append(box)
        else:
            rows.append([box])
    return [sorted(row, key=lambda one: one.left) for row in rows]


def _gutter(boxes: Sequence[Box]) -> float | None:
    """The x of the white gutter between two columns, or None where there is none: fewest crossings, then widest."""
    if len(boxes) < 2 * COLUMN_LINES:
        return None
    narrowest = median(box.height for box in boxes) / 2
    edges = sorted({box.left for box in boxes} | {box.right for box in boxes})
    best: tuple[int, float, float] | None = None
    for start, end in pairwise(edges):
        middle = (start + end) / 2
        crossing = sum(box.left < middle < box.right for box in boxes)
        rank = (crossing, start - end, middle)
        if end - start < narrowest or crossing > CROSSING * len(boxes) or (best is not None and rank >= best):
            continue
        if _are_columns(boxes, middle):
            best = rank
    return None if best is None else best[2]


def _are_columns(boxes: Sequence[Box], gutter: float) -> bool:
    left = [box for box in boxes if box.right <= gutter]
    right = [box for box in boxes if box.left >= gutter]
    if min(len(_rows(left)), len(_rows(right))) < COLUMN_LINES:
        return False
    if all(median(len(box.text) for box in side) >= PROSE for side in (left, right)):
        return True
    fewer, more = sorted((left, right), key=len)
    partners = sum(any(abs(box.centre - other.centre) < 0.25 * box.height for other in more) for box in fewer)
    return partners < SHARED * len(fewer)
