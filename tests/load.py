"""The page under many clients, and for a long time: long runs, which are not part of the tests.

PYTHONPATH=. python tests/load.py                  # 1, 8, 32, 100 clients: a table
PYTHONPATH=. python tests/load.py --soak 20        # minutes, a photo a second: memory and files
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from conftest import scene
from odd_inputs import encode
from PIL import Image
from visitor import Visitor, server

MODEL = "chair-unet"

# The page, but its networks run for every photo.
LOADED = "import app, segdemo.predict as p; p.ANSWERS.limit = 0; app.main()"
# The same, and what it deletes after an hour it deletes after two minutes.
SOAKED = """
import app, segdemo.predict, segdemo.tempfiles
segdemo.predict.ANSWERS.limit = 0
def build(build_page=app.build_page):
    page = build_page()
    page.delete_cache = (15, 120)
    return page
app.build_page = build
segdemo.tempfiles.MAX_AGE, segdemo.tempfiles.MAX_EMPTY, segdemo.tempfiles.EVERY = 180, 60, 15
app.main()
"""


def photos(number: int) -> list[bytes]:
    """Different photos of 640x480, as phones make them."""
    return [encode(Image.fromarray(scene(n, 480, 640)), "JPEG", quality=90) for n in range(number)]


def crowd(address: str, clients: int, photos: Sequence[bytes], each: int) -> dict[str, object]:
    """What comes of `clients` at once that ask `each` times; every mask against a lone run's."""
    alone = {photo: Visitor(address).segment(photo, MODEL) for photo in photos}
    ends: Counter[str] = Counter()
    spent: list[float] = []

    def client(number: int) -> None:
        visitor = Visitor(address)
        for turn in range(each):
            photo = photos[(number + turn) % len(photos)]
            started = time.perf_counter()
            try:
                told = visitor.segment(photo, MODEL)
            except (httpx.HTTPError, AssertionError) as error:
                ends[f"broken: {type(error).__name__}"] += 1
                continue
            if isinstance(told, bytes):
                ends["right" if told == alone[photo] else "wrong"] += 1
                spent.append(time.perf_counter() - started)
            else:
                ends["busy" if "full" in told or "Too many" in told else told] += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    seconds = time.perf_counter() - started
    p50, p95, p99 = np.percentile(spent, [50, 95, 99])
    return {"ends": ends, "rate": len(spent) / seconds, "p50": p50, "p95": p95, "p99": p99}


def table(address: str, numbers: Sequence[int]) -> None:
    print("| clients | photos | right | busy | wrong, broken | a second | p50 s | p95 s | p99 s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for clients in numbers:
        for name, given in (("the same", photos(1)), ("different", photos(min(clients, 16)))):
            if clients == 1 and name == "different":
                continue
            found = crowd(address, clients, given, max(1, 24 // clients))
            ends = found["ends"]
            assert isinstance(ends, Counter)
            others = {end: n for end, n in ends.items() if end not in ("right", "busy")}
            print(
                f"| {clients} | {name} | {ends['right']} | {ends['busy']} | {others or 0} "
                f"| {found['rate']:.2f} | {found['p50']:.2f} | {found['p95']:.2f} "
                f"| {found['p99']:.2f} |",
                flush=True,
            )


def sample(pid: int, temp: Path) -> tuple[float, int, int, float]:
    """Resident MB, open file descriptors, files in the temporary folder and their MB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmRSS"))
    sizes = []
    for path in temp.rglob("*"):
        if path.is_file():
            sizes.append(path.stat().st_size)
    return memory, len(os.listdir(f"/proc/{pid}/fd")), len(sizes), sum(sizes) / 1e6


def soak(address: str, pid: int, temp: Path, minutes: float, pause: float) -> None:
    """A photo every `pause` seconds, each by a visitor of its own; a line a minute."""
    print("| minute | answers | MB | file descriptors | files | MB of files | MB, drawn |")
    print("|---|---|---|---|---|---|---|", flush=True)
    started, answers, lines = time.monotonic(), 0, 0
    given = photos(40)
    while (now := time.monotonic() - started) < 60 * minutes + 1:
        if now >= 60 * lines:
            memory, descriptors, files, size = sample(pid, temp)
            line = f"| {lines} | {answers} | {memory:.0f} | {descriptors} | {files} | {size:.1f}"
            print(f"{line} | {'▇' * round(memory / 40)} |", flush=True)
            lines += 1
        visitor = Visitor(address)
        told = visitor.segment(given[answers % len(given)], MODEL)
        assert isinstance(told, bytes), told
        visitor.http.close()
        answers += 1
        time.sleep(pause)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", default="1,8,32,100")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between photos, soaking")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        temp = Path(folder) / "temp"
        start = ["-c", SOAKED if options.soak else LOADED]
        with server(Path(folder) / "log", temp, start) as (address, process):
            if options.soak:
                soak(address, process.pid, temp, options.soak, options.pause)
            else:
                table(address, [int(number) for number in options.clients.split(",")])


if __name__ == "__main__":
    main()
