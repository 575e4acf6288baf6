"""A container may use fewer processors than its host has."""

import os
from pathlib import Path

import pytest

from segdemo import quota


@pytest.mark.parametrize(
    ("says", "threads"),
    [
        ("200000 100000", "2"),
        ("250000 100000", "2"),
        ("50000 100000", "1"),
        ("6400000 100000", None),  # more than there are
        ("max 100000", None),
        (None, None),
    ],
)
def test_threads_are_no_more_than_the_quota(
    says: str | None, threads: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(32))
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # put back afterwards
    monkeypatch.delenv("OMP_NUM_THREADS")
    if says:
        quota.CPU_MAX.write_text(f"{says}\n")
    quota.heed_quota()
    assert os.environ.get("OMP_NUM_THREADS") == threads


def test_who_says_how_many_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "CPU_MAX", tmp_path / "cpu.max")
    quota.CPU_MAX.write_text("100000 100000\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    quota.heed_quota()
    assert os.environ["OMP_NUM_THREADS"] == "4"
