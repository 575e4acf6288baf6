"""The folder of visitors' photos and answers: where it lies, and what is deleted of it when."""

import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .predict import forget

log = logging.getLogger("segdemo")

MAX_AGE = 5400  # seconds; the page promises two hours, and Gradio deletes what it knows of sooner
MAX_BYTES = 2_000_000_000  # of all visitors together; beyond it the oldest files go first
MAX_EMPTY = 600  # seconds; far longer than an answer takes to come into its folder
EVERY = 60  # seconds between two looks
BESIDE = 8192  # bytes that a file takes beside its own, with its folder: empty ones fill a disk too
PREFIX, LOCK = "segdemo-", "lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for this run's files, gone afterwards; those of runs that were killed go first."""
    delete_dead_runs()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # Locked before it has its name, so that no other run takes this one for dead. The lock goes
    # with the process, however that ends.
    with (folder / "unlocked").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (folder / "unlocked").rename(folder / LOCK)
        try:
            files = folder / "files"
            files.mkdir()
            yield files
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def delete_dead_runs() -> None:
    """Delete the folders of runs of this user that are no longer there."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        # Opening a link or another user's file would be their choice of what is deleted.
        with suppress(OSError):
            if lock.is_symlink() or lock.parent.is_symlink() or lock.stat().st_uid != os.getuid():
                continue
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)


class Sweeper:
    """Deletes what Gradio leaves: uploads broken off, folders of answers, all that is too much."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.bytes = 0  # of visitors' files, when it last looked

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="sweeper").start()

    def _run(self) -> None:
        while True:
            time.sleep(EVERY)
            forget()
            try:
                self.sweep()
            except OSError as error:  # whatever it is, the next look may do better
                log.warning("not swept", exc_info=error)

    def sweep(self) -> None:
        """Delete the files older than MAX_AGE, then the oldest beyond MAX_BYTES in all."""
        now, found = time.time(), []
        for path in self.files.rglob("*"):
            with suppress(OSError):  # Gradio deletes at the same time
                status = path.stat()
                if path.is_dir():
                    if now - status.st_mtime > MAX_EMPTY:
                        path.rmdir()  # which fails where it is not empty
                else:
                    found.append((status.st_mtime, status.st_size + BESIDE, path))
        total = sum(size for _, size, _ in found)
        for changed, size, path in sorted(found):
            if now - changed > MAX_AGE or total > MAX_BYTES:
                path.unlink(missing_ok=True)
                total -= size
        self.bytes = total
