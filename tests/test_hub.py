"""Weights from the Hub: the real client, a local Hub, and all that goes wrong on the way."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import HUB_HOME
from hub_server import Hub

from segdemo import hub as client
from segdemo.hub import fetch
from segdemo.registry import MODELS
from segdemo.weights import WeightsError, find_weights, whereabouts

ROOT = Path(__file__).parent.parent
FCN = MODELS["fcn"]
REPO = "someone/segdemo-fcn"


def weights(megabytes: float, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(int(megabytes * 1e6))


SMALL, BIG = weights(0.2), weights(24)


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a weights folder that holds only the facts of the FCN."""

    def make(content: bytes, revision: str | None = None) -> Path:
        found = {"sha256": hashlib.sha256(content).hexdigest()}
        if revision:
            found["hub"] = {"repo": REPO, "revision": revision}
        else:
            monkeypatch.setenv("SEGDEMO_HUB_NAMESPACE", "someone")
        (tmp_path / "fcn.json").write_text(json.dumps(found))
        monkeypatch.setenv("SEGDEMO_WEIGHTS", str(tmp_path))
        return tmp_path

    return make


def refused(says: str) -> str:
    """The sentence in which the weights of the FCN are refused."""
    with pytest.raises(WeightsError) as caught:
        find_weights(FCN)
    sentence = str(caught.value)
    assert says in sentence and "\n" not in sentence and sentence.endswith(".")
    return sentence


def blobs() -> list[Path]:
    return [path for path in HUB_HOME.rglob("blobs/*") if path.is_file()]


def test_published_weights_are_fetched_once_and_then_need_no_network(hub: Hub, facts) -> None:
    facts(SMALL, hub.add(REPO, SMALL))
    hub.add(REPO, weights(0.2, seed=1))  # main went on, but the facts name a commit
    assert find_weights(FCN).read_bytes() == SMALL
    hub.asked.clear()
    assert find_weights(FCN).read_bytes() == SMALL
    assert not hub.asked
    hub.stop()
    assert find_weights(FCN).read_bytes() == SMALL


def test_a_namespace_of_ones_own(hub: Hub, facts, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = facts(SMALL, "a" * 40)
    hub.add("else/segdemo-fcn", SMALL)
    monkeypatch.setenv("SEGDEMO_HUB_NAMESPACE", "else")
    assert "else/segdemo-fcn on the Hub at main" in whereabouts(FCN)
    assert not hub.downloads()
    assert find_weights(FCN).read_bytes() == SMALL
    hub.asked.clear()
    assert find_weights(FCN).read_bytes() == SMALL
    assert not hub.asked and not client.under_way("fcn")
    assert whereabouts(FCN) == str(find_weights(FCN))
    # The project's own file comes before the cache's.
    (folder / "fcn.safetensors").write_bytes(SMALL)
    assert find_weights(FCN).parent == folder


def test_a_damaged_local_file_is_replaced_by_the_hubs(hub: Hub, facts) -> None:
    folder = facts(SMALL, hub.add(REPO, SMALL))
    (folder / "fcn.safetensors").write_bytes(SMALL[:-1])
    assert find_weights(FCN).read_bytes() == SMALL
    hub.stop()
    shutil.rmtree(HUB_HOME)
    refused("fcn.safetensors are not those that their facts describe, and the Hub cannot")


def test_without_a_namespace_the_error_says_what_to_do(facts, monkeypatch) -> None:
    facts(SMALL)
    monkeypatch.delenv("SEGDEMO_HUB_NAMESPACE")
    refused("fcn.safetensors are missing; put them there, or set SEGDEMO_HUB_NAMESPACE")


def test_without_a_network(no_cache: Path, facts) -> None:
    facts(SMALL, "a" * 40)
    refused("the Hub cannot be reached for someone/segdemo-fcn")


def test_offline_by_choice(hub: Hub) -> None:
    hub.add(REPO, SMALL)
    assert "the Hub cannot be reached" in told_by(in_a_process(SMALL, HF_HUB_OFFLINE="1"))
    assert not hub.asked


def test_a_name_that_nobody_resolves_in_time(facts, monkeypatch, no_cache: Path) -> None:
    """Where there is no network, the search for a host may take half a minute."""
    over = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: over.wait(60))
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    facts(SMALL, "a" * 40)
    refused("the Hub does not answer when asked for someone/segdemo-fcn")
    over.set()


def test_what_the_clients_own_way_of_fetching_raises(hub: Hub, facts, monkeypatch) -> None:
    """hf_xet, which a Hub of loopback does not speak, raises nothing more particular."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Task error: 403 Forbidden")

    facts(SMALL, hub.add(REPO, SMALL))
    monkeypatch.setattr(client, "hf_hub_download", broken)
    refused("the Hub broke off in the middle of someone/segdemo-fcn")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("silent", "the Hub does not answer"),
        ("dripping", "the Hub does not answer"),
        ("portal", "is not the Hub"),
        (503, "the Hub is in trouble (HTTP 503)"),
        (429, "the Hub is in trouble (HTTP 429)"),
        (403, "the Hub refuses someone/segdemo-fcn (HTTP 403): trouble"),
    ],
)
def test_a_hub_that_does_not_answer_well(hub: Hub, facts, monkeypatch, fault, says: str) -> None:
    facts(SMALL, hub.add(REPO, SMALL))
    silent = fault in ("silent", "dripping")
    monkeypatch.setattr(client, "PATIENCE", 1 if silent else 30)
    hub.fault = fault
    refused(says)
    assert hub.asked.total() == 1  # asked once, not again and again
    hub.fault = ""
    monkeypatch.setattr(client, "PATIENCE", 30)
    assert find_weights(FCN).read_bytes() == SMALL


def test_no_such_repository(hub: Hub, facts, monkeypatch) -> None:
    facts(SMALL)
    refused("the Hub shows no someone/segdemo-fcn")
    monkeypatch.setenv("HF_TOKEN", "good-token")
    refused("the Hub shows no someone/segdemo-fcn")
    monkeypatch.setenv("SEGDEMO_HUB_NAMESPACE", "no such name")
    refused("is no name of a repository")


def test_no_such_revision_or_file(hub: Hub, facts) -> None:
    facts(SMALL, "b" * 40)
    hub.add(REPO, SMALL)
    refused("the Hub has no model.safetensors in someone/segdemo-fcn at bbbb")
    facts(SMALL, hub.repos["model", REPO].commit({"README.md": b"only words"}))
    refused("the Hub has no model.safetensors")


def test_a_private_repository_and_its_token(hub: Hub, facts, monkeypatch) -> None:
    facts(SMALL, hub.add(REPO, SMALL, private=True))
    refused("private and HF_TOKEN must be set")
    monkeypatch.setenv("HF_TOKEN", "expired")
    refused("the Hub refuses the token in HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "good-token")
    assert find_weights(FCN).read_bytes() == SMALL


def test_other_weights_on_the_hub_are_not_even_fetched(hub: Hub, facts) -> None:
    facts(SMALL)
    hub.add(REPO, weights(0.2, seed=1))
    refused("someone/segdemo-fcn on the Hub holds other weights at main")
    assert not hub.downloads() and not blobs()


def test_what_is_damaged_on_the_way_is_fetched_once_more(hub: Hub, facts) -> None:
    facts(SMALL, hub.add(REPO, SMALL))
    hub.fault = "corrupt-once"
    assert find_weights(FCN).read_bytes() == SMALL
    assert hub.downloads() == 2


def test_what_stays_damaged_is_deleted_and_reported(hub: Hub, facts) -> None:
    facts(SMALL, hub.add(REPO, SMALL))
    hub.fault = "corrupt"
    refused("what came from someone/segdemo-fcn was damaged twice; it was deleted")
    assert hub.downloads() == 2 and not blobs()
    hub.fault = ""
    assert find_weights(FCN).read_bytes() == SMALL


def test_a_cached_file_that_was_cut_short_is_replaced(hub: Hub, facts) -> None:
    facts(SMALL, hub.add(REPO, SMALL))
    cached = find_weights(FCN)
    cached.resolve().write_bytes(SMALL[:100])
    assert find_weights(FCN).read_bytes() == SMALL
    cached.resolve().write_bytes(SMALL[:100])
    hub.stop()
    refused("the Hub cannot be reached")


def test_a_cut_file_is_not_taken_where_only_the_cache_knows_its_hash(hub: Hub) -> None:
    hub.add(REPO, SMALL)
    fetch(REPO).resolve().write_bytes(SMALL[:100])
    assert fetch(REPO).read_bytes() == SMALL


def test_a_slow_hub_is_waited_for_and_shows_how_far_it_is(hub: Hub, facts, monkeypatch) -> None:
    facts(BIG, hub.add(REPO, BIG))
    hub.fault = "slow"
    assert client.under_way("fcn") == ""
    ask, told = client.ask, set()

    def asked(*what: str) -> str:
        told.add(client.under_way("fcn"))
        return ask(*what)

    monkeypatch.setattr(client, "ask", asked)
    waiting = threading.Thread(target=find_weights, args=(FCN,))
    waiting.start()
    while waiting.is_alive():
        told.add(client.under_way("fcn"))
        time.sleep(0.05)
    assert f"Weights are being fetched from the Hub: {REPO}." in told  # before it has answered
    assert any(re.search(r"someone/segdemo-fcn \([1-9]\d% of 24 MB\)", line) for line in told)
    assert client.under_way("fcn") == ""
    assert find_weights(FCN).read_bytes() == BIG


def test_a_download_that_breaks_off_goes_on_where_it_was(hub: Hub, facts) -> None:
    facts(BIG, hub.add(REPO, BIG))
    hub.fault = "cut-once"
    assert find_weights(FCN).read_bytes() == BIG
    assert hub.downloads() == 2


def test_a_download_that_always_breaks_off_ends(hub: Hub, facts) -> None:
    facts(BIG, hub.add(REPO, BIG))
    hub.fault = "cut-without-ranges"
    refused("the Hub broke off in the middle of someone/segdemo-fcn")
    assert not blobs()


# The module alone, since torch takes long to import.
FETCH = """
import runpy, sys
hub = runpy.run_path("segdemo/hub.py")
try:
    print(hub["fetch"](*sys.argv[1:]))
except hub["HubError"] as error:
    print(error)
"""


def in_a_process(content: bytes, *before: str, **env: str) -> subprocess.Popen[str]:
    """Another process that wants these weights of main; it prints a path or a clause."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", FETCH, REPO, "main", hashlib.sha256(content).hexdigest()],
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        text=True,
    )


def told_by(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=240)[0].strip()


def test_three_processes_at_once_fetch_once(hub: Hub) -> None:
    hub.add(REPO, BIG)
    hub.fault = "slow"
    paths = {told_by(process) for process in [in_a_process(BIG) for _ in range(3)]}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == BIG
    assert hub.downloads() == 1


def test_a_process_killed_in_mid_download_hinders_nobody(hub: Hub, facts) -> None:
    facts(BIG)
    hub.add(REPO, BIG)
    hub.fault = "slow"
    process = in_a_process(BIG)
    assert hub.sent.wait(120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = blobs()
    assert left.suffix == ".incomplete"
    hub.fault = ""
    assert find_weights(FCN).read_bytes() == BIG
    # Whoever fetches later clears up, not before nobody can be writing to it any more.
    assert left.exists()
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    shutil.rmtree(HUB_HOME / "hub" / "models--someone--segdemo-fcn" / "snapshots")
    find_weights(FCN)
    assert not left.exists() and len(blobs()) == 1


def mounted(options: str) -> list[str]:
    """A command that runs another with the Hub's cache on a file system of its own.

    Needs no rights but those of any user, on machines that allow user namespaces.
    """
    mount = f'mount -t tmpfs -o {options} none "{HUB_HOME}" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    HUB_HOME.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a file system of one's own")
    return command


@pytest.mark.parametrize(
    ("options", "says"),
    [("size=8m", "No space left on device"), ("ro", "Read-only file system")],
)
def test_no_room_for_the_weights(hub: Hub, options: str, says: str) -> None:
    hub.add(REPO, BIG)
    told = told_by(in_a_process(BIG, *mounted(options)))
    assert told == f"{REPO} cannot be stored in {HUB_HOME}/hub: {says}"


def test_a_cache_that_is_only_read_is_enough(hub: Hub) -> None:
    hub.add(REPO, SMALL)
    path = told_by(in_a_process(SMALL))
    mount = f'mount --bind "{HUB_HOME}" "{HUB_HOME}"'
    mount += f' && mount -o remount,ro,bind "{HUB_HOME}" && exec "$@"'
    command = [*mounted("ro")[:-2], mount, "sh"]
    assert told_by(in_a_process(SMALL, *command)) == path
