"""A figure and what it is compared with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

TURNS, RUNS = 5, 3
OURS = "segdemo"


@dataclass(frozen=True)
class Row:
    """One thing that was measured: ours, and the others by name, all in `unit`."""

    what: str
    ours: float
    others: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    unit: str = "ms"

    @property
    def title(self) -> str:
        return self.what + f", {self.model}" * bool(self.model)

    @property
    def ways(self) -> dict[str, float]:
        """All of them by name, ours first."""
        return {OURS: self.ours, **self.others}


def in_turn(ours: Callable[[], object], others: Mapping[str, Callable[[], object]]) -> Row:
    """Median milliseconds of each; the row is not named yet.

    They take turns of a few runs. The first of a turn does not count: the threads and caches are
    then still those of the one before, which would tell more of the order than of the runs.
    """
    ways = {"": ours, **others}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(TURNS):
        for way, run in ways.items():
            for counts in (False, *[True] * RUNS):
                started = time.perf_counter()
                run()
                if counts:
                    times[way].append((time.perf_counter() - started) * 1000)
    spent = {way: round(median(each), 2) for way, each in times.items()}
    return Row("", spent.pop(""), spent)
