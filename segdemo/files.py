"""Files that are there whole or not at all."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path` when it is done: a run that is killed spoils nothing.

    What fails leaves nothing: on a full disk, half a file would keep it full.
    """
    # A name of its own, since two runs may write the same; and short, since `path`'s may be long.
    unfinished = path.with_name(f"{secrets.token_hex(8)}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if error.filename == str(unfinished):  # a name that nobody has given
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    with whole(path) as unfinished:
        unfinished.write_bytes(content)
