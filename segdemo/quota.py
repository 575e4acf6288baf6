"""How many processors a container may use: torch counts those of its host."""

import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # "QUOTA PERIOD" in microseconds, or "max PERIOD"


def heed_quota() -> None:
    """Let torch start no more threads than that; to be called before it is imported.

    Threads beyond it would wait for each other at the end of every layer, stopped in turn.
    """
    try:
        quota, period = map(int, CPU_MAX.read_text().split())
    except (OSError, ValueError):  # none
        return
    threads = max(1, round(quota / period))
    if threads < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
