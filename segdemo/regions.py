"""Connected regions of labels, as run lengths and as polygons.

Everything here goes down the columns, as COCO's run lengths do: pixel (x, y) has the index
x * H + y. A run is a stretch of one label within one column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]  # [N, 2]: x, y of the corners, between the pixels; not closed

TOLERANCE = 0.75  # pixels that a polygon may cut off a corner: a diagonal staircase becomes a line
EAST, SOUTH, WEST, NORTH = range(4)


@dataclass(frozen=True)
class Region:
    """Pixels of one label that hang together by their sides.

    starts, ends: int64 [runs], column-major indexes, ascending; size: height and width of the
    whole picture; box: x, y, width, height.
    """

    label: int
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    size: tuple[int, int]

    @property
    def area(self) -> int:
        return int((self.ends - self.starts).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        height = self.size[0]
        left, right = self.starts[0] // height, self.starts[-1] // height + 1
        top, bottom = (self.starts % height).min(), ((self.ends - 1) % height).max() + 1
        return int(left), int(top), int(right - left), int(bottom - top)

    def crop(self) -> NDArray[np.bool_]:
        """bool [height, width] of its box: where the region is."""
        left, top, width, height = self.box
        columns = self.starts // self.size[0] - left
        steps = np.zeros(width * height + 1, np.int8)
        start = columns * height + self.starts % self.size[0] - top
        steps[start] += 1
        steps[start + self.ends - self.starts] -= 1
        return steps[:-1].cumsum(dtype=np.int8).astype(bool).reshape(width, height).T


def find_regions(labels: NDArray[np.uint8]) -> list[Region]:
    """The connected regions of uint8 [H, W], 0 left out, from left to right."""
    height, width = labels.shape
    columns = np.zeros((width, height + 1), np.uint8)  # a zero below each keeps runs in theirs
    columns[:, :height] = labels.T
    flat = np.append(np.uint8(0), columns)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends, values = edges[:-1], edges[1:], flat[edges[:-1] + 1]
    starts, ends, values = starts[values > 0], ends[values > 0], values[values > 0]
    roots = connect(starts, ends, values, height + 1)
    starts, ends = (of - starts // (height + 1) for of in (starts, ends))
    order = np.argsort(roots, kind="stable")
    cuts = np.flatnonzero(np.diff(roots[order])) + 1
    return [
        Region(int(values[runs[0]]), starts[runs], ends[runs], (height, width))
        for runs in np.split(order, cuts)
        if len(runs)
    ]


def connect(
    starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.uint8], column: int
) -> NDArray[np.int64]:
    """int64 [runs]: for each run the first run of its region (a union-find over touching runs)."""
    first = np.searchsorted(ends, starts + column, side="right")
    count = (np.searchsorted(starts, ends + column, side="left") - first).clip(0)
    left = np.repeat(np.arange(len(starts)), count)
    right = np.arange(len(left)) - np.repeat(count.cumsum() - count, count) + first[left]
    same = values[left] == values[right]
    parents = list(range(len(starts)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    for a, b in zip(left[same].tolist(), right[same].tolist(), strict=True):
        a, b = root(a), root(b)
        parents[max(a, b)] = min(a, b)
    return np.array([root(run) for run in range(len(parents))], np.int64)


def run_lengths(region: Region) -> str:
    """COCO's compressed run lengths, as pycocotools writes them.

    The lengths of what is outside, inside, outside, ... down the columns, each from the fourth on
    as its difference to the one before the last, in groups of five bits, lowest first.
    """
    apart = region.starts[1:] != region.ends[:-1]  # a run may go on at the top of the next column
    starts, ends = region.starts[np.r_[True, apart]], region.ends[np.r_[apart, True]]
    total = region.size[0] * region.size[1]
    edges = np.r_[0, np.stack([starts, ends], 1).ravel(), total]
    lengths = np.diff(edges[:-1] if edges[-2] == total else edges)
    lengths[3:] -= lengths[1:-2].copy()
    text = []
    for value in lengths.tolist():
        more = True
        while more:
            five = value & 31
            value >>= 5
            more = value != (-1 if five & 16 else 0)
            text.append(chr(48 + five + (32 if more else 0)))
    return "".join(text)


def polygon(region: Region) -> Ring:
    """The outline of a region as one ring; holes are joined to it by a cut of no width."""
    left, top, _, _ = region.box
    walk, *holes = (simplified(ring) for ring in rings(region.crop()))
    # From the left, so that the way to the left of each holds no hole that is not joined yet.
    begins = [hole[np.lexsort(hole.T[::-1])[0]] for hole in holes]
    for at in np.lexsort(np.array(begins).T[::-1]) if holes else ():
        hole, (x, y) = holes[at], begins[at]
        begin = int((hole == (x, y)).all(1).argmax())
        (x1, y1), (x2, y2) = walk.T, np.roll(walk, -1, axis=0).T
        with np.errstate(divide="ignore", invalid="ignore"):
            meets = x1 + (x2 - x1) * (y - y1) / (y2 - y1)
        met = ((y1 <= y) != (y2 <= y)) & (meets <= x)
        if met.any():
            edge = int(np.where(met, meets, -np.inf).argmax())
            meeting = np.array([(meets[edge], y)])
        else:  # the outline, once simplified, does not quite enclose it
            edge = int(((walk - (x, y)) ** 2).sum(1).argmin())
            meeting = walk[edge : edge + 1]
        joined = [meeting, np.roll(hole, -begin, axis=0), hole[begin : begin + 1], meeting]
        walk = np.concatenate([walk[: edge + 1], *joined, walk[edge + 1 :]])
    return walk + (left, top)


def rings(mask: NDArray[np.bool_]) -> list[Ring]:
    """The borders of a connected bool [H, W]: the outer one clockwise, then those of its holes."""
    padded = np.pad(mask.astype(np.uint8), 1)
    above, below = padded[:-1], padded[1:]
    # Bit by bit: may one walk east, south, west, north from this corner with the mask at the right?
    ways = (
        (below[:, 1:] & ~above[:, 1:])
        | (below[:, :-1] & ~below[:, 1:]) << 1
        | (above[:, :-1] & ~below[:, :-1]) << 2
        | (above[:, 1:] & ~above[:, :-1]) << 3
    )
    east = ways & 1
    east[:, 1:] &= ~(ways[:, :-1] & 1) | (ways[:, 1:] != 1)  # where a walk to the east begins
    width = ways.shape[1]
    codes, steps = ways.tobytes(), (1, width, -1, -width)
    begins = dict.fromkeys(np.flatnonzero(east).tolist())
    found = []
    while begins:
        begin = at = next(iter(begins))
        heading, corners = EAST, list[int]()
        while not corners or (at, heading) != (begin, EAST):
            corners.append(at)
            if heading == EAST:
                begins.pop(at, None)
            at += steps[heading]
            while codes[at] == 1 << heading:
                at += steps[heading]
            way = codes[at]
            # Two pixels that touch by a corner: keep to the one at the right.
            heading = (heading + 1) % 4 if way in (5, 10) else way.bit_length() - 1
        found.append(np.stack([np.array(corners) % width, np.array(corners) // width], 1) * 1.0)
    return found


def simplified(ring: Ring) -> Ring:
    """A ring with fewer corners, none of the left-out ones further than TOLERANCE from it.

    The way of Douglas and Peucker, https://doi.org/10.3138/FM57-6770-U75U-7727. Small and thin
    rings, whose area that would change by over 1 %, stay as they are.
    """
    closed = np.concatenate([ring, ring[:1]])
    far = int(((ring - ring[0]) ** 2).sum(1).argmax())
    keep = np.zeros(len(closed), bool)
    keep[[0, far, -1]] = True
    parts = [(0, far), (far, len(ring))]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        along = closed[last] - closed[first]
        across = closed[first + 1 : last] - closed[first]
        length = np.hypot(*along)
        if length:
            distance = np.abs(along[0] * across[:, 1] - along[1] * across[:, 0]) / length
        else:
            distance = np.hypot(*across.T)
        worst = int(distance.argmax())
        if distance[worst] > TOLERANCE:
            middle = first + 1 + worst
            keep[middle] = True
            parts += [(first, middle), (middle, last)]
    fewer = closed[:-1][keep[:-1]]
    return fewer if abs(area(fewer) - area(ring)) <= 0.01 * abs(area(ring)) else ring


def area(ring: Ring) -> float:
    """What a ring encloses; negative where it runs counter-clockwise."""
    (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, axis=0).T
    return float((x * next_y - next_x * y).sum() / 2)
