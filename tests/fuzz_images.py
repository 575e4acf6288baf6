"""Mutated pictures through the gate, in a process of limited memory: only BadImage may come out.

The long run, which is not part of the tests (they have a short one): it prints what came out.

    PYTHONPATH=. python tests/fuzz_images.py --count 20000
"""

import argparse
import faulthandler
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from odd_inputs import memory
from test_images import mutate, seeds

from segdemo.images import BadImage, load_image, load_shown

HANG = 20  # seconds after which a picture counts as one that never ends


def splice(files: list[bytes], chance: random.Random) -> bytes:
    """The head of one file and the tail of another, often of another format."""
    head, tail = chance.choice(files), chance.choice(files)
    return head[: chance.randrange(len(head))] + tail[chance.randrange(len(tail)) :]


def picture(files: list[bytes], seed: int) -> bytes:
    """The picture of that number: always the same."""
    chance = random.Random(seed)
    if seed % 5 == 4:
        return splice(files, chance)
    return mutate(files[seed % len(files)], chance)


def run(numbers: range, megabytes: int) -> None:
    """Every picture of those numbers through the gate, in this process."""
    warnings.simplefilter("ignore")  # Pillow remarks on what it skips
    files = seeds()
    before = memory("VmRSS")
    limit = int((memory("VmSize") + megabytes) * 1e6)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    ends: Counter[str] = Counter()
    slowest = (0.0, -1)
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        for number in numbers:
            path.write_bytes(picture(files, number))
            faulthandler.dump_traceback_later(HANG, exit=True)
            started = time.perf_counter()
            try:
                # As the page reads it, and every other one as it is taken away.
                image = load_shown(path)[0] if number % 2 else load_image(path)
                assert image.ndim == 3 and image.dtype == "uint8", number
                ends["opened"] += 1
            except BadImage as error:
                ends[str(error).split(":")[0]] += 1
            except BaseException:
                print(f"picture {number} went wrong", flush=True)
                raise
            slowest = max(slowest, (time.perf_counter() - started, number))
    faulthandler.cancel_dump_traceback_later()
    for end, count in ends.most_common():
        print(f"{count:6}  {end}")
    print(f"slowest: {slowest[0]:.2f} s, number {slowest[1]}")
    print(f"memory: {memory('VmHWM') - before:.0f} MB at most above {before:.0f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first picture")
    parser.add_argument("--megabytes", type=int, default=1000, help="that it may take")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        run(range(options.start, options.start + options.count), options.megabytes)
        return 0
    # In a child, so that a crash of a decoder is seen as what it is.
    child = subprocess.run([sys.executable, *sys.argv, "--here"])
    print("no crash, no hang" if child.returncode == 0 else f"ended with {child.returncode}")
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
