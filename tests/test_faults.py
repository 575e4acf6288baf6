"""What goes wrong on a server, one fault after the other, and what the visitor then gets."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from conftest import EXAMPLES, scene
from gradio_client import Client, handle_file
from odd_inputs import encode, photo
from PIL import Image
from torch import Tensor, nn
from visitor import ROOT, Process, Visitor, server, wait_until

import segdemo
from segdemo import engine, errors, hub, tempfiles
from segdemo.engine import Runner, load_network, ready
from segdemo.errors import Busy, Request, sentence
from segdemo.images import load_image
from segdemo.overlay import colours_of
from segdemo.predict import predict
from segdemo.registry import MODELS
from segdemo.ui import answers, api, figures
from segdemo.weights import FOLDER

CHAIR = EXAMPLES / "test" / "images" / "chair-dining.webp"
GOOD = encode(photo(), "PNG")


# --- the network --------------------------------------------------------------------------------


class Failing(nn.Module):
    """A network that raises what it is given, unless its pixels are on the CPU and `spare`."""

    stride, cell = 32, 2  # the chair's

    def __init__(self, error: Exception, network: nn.Module | None = None) -> None:
        super().__init__()
        self.error, self.network = error, network

    def forward(self, x: Tensor) -> Tensor:
        return self.able(x)(x)

    def scores(self, x: Tensor) -> Tensor:
        return self.able(x).scores(x)

    def able(self, x: Tensor) -> Any:
        if self.network is None or x.device.type != "cpu":
            raise self.error
        return self.network


OF_A_GPU = [
    torch.OutOfMemoryError("CUDA out of memory"),
    torch.AcceleratorError("CUDA error: no kernel image is available for execution"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]


@pytest.mark.parametrize("error", OF_A_GPU, ids=repr)
def test_a_gpu_that_is_full_or_fails_leaves_it_to_the_cpu(error: Exception) -> None:
    """The device "meta" stands for the GPU here: it has no pixels, and this network no memory."""
    spec = MODELS["chair-unet"]
    full = Failing(error, load_network(spec.name))
    runner = Runner(spec, full, torch.device("meta"), torch.float32)
    for seed in (1, 2):
        found = runner(scene(seed)).labels
        assert np.array_equal(found, segdemo.segment(scene(seed), spec.name).labels)
    assert runner.spare.device.type == "cpu"


def test_a_live_frame_is_left_to_the_cpu_as_quickly_as_it_is_asked_for() -> None:
    spec = MODELS["fcn"]
    full = Failing(torch.OutOfMemoryError("CUDA out of memory"), load_network(spec.name))
    runner = Runner(spec, full, torch.device("meta"), torch.float32)
    runner(scene(1))  # a photo, before
    assert not runner.quick.spare.spec.flips and runner.spare.spec.flips


@pytest.mark.parametrize("error", OF_A_GPU, ids=repr)
def test_a_gpu_that_is_full_or_fails_at_the_start_leaves_it_to_the_cpu(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine.made_fast

    def full(small: nn.Module, device: torch.device) -> nn.Module:
        if device.type != "cpu":
            raise error
        return made(small, device)

    monkeypatch.setattr(engine, "made_fast", full)
    monkeypatch.setattr(engine, "pick_device", lambda: torch.device("meta"))
    runner = engine._ready.__wrapped__("chair-unet")
    assert runner.device.type == "cpu"
    assert np.array_equal(runner(scene(1)).labels, segdemo.segment(scene(1)).labels)


def test_a_gpu_that_gives_no_numbers_in_float16_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits = Runner.logits

    def spoilt(runner: Runner, image: np.ndarray) -> np.ndarray:
        return logits(runner, image) * (np.nan if runner.dtype == torch.float16 else 1)

    monkeypatch.setattr(Runner, "logits", spoilt)
    monkeypatch.setattr(engine, "serving_dtype", lambda *_: torch.float16)
    monkeypatch.setattr("segdemo.fast.FUSES", False)  # which no CPU here can in float16
    spec = MODELS["chair-unet"]
    runner = engine.warm_runner(spec, load_network(spec.name), torch.device("cpu"))
    assert runner.dtype == torch.float32 and runner(load_image(CHAIR)).labels.any()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "went wrong"),
    ],
)
def test_a_network_that_raises_is_told_in_words_and_the_next_request_works(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = MODELS["chair-unet"]
    failing = Runner(spec, Failing(error), torch.device("cpu"), torch.float32)
    with monkeypatch.context() as broken:
        broken.setattr(engine, "_ready", lambda _: failing)
        with pytest.raises(type(error)) as caught:
            segdemo.segment(scene(1))
    assert says in sentence(caught.value)
    assert str(error) not in sentence(caught.value) or not str(error)
    assert segdemo.segment(scene(1)).labels.shape == (48, 64)


def test_an_error_shows_the_id_under_which_it_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(errors, "current_request", lambda: Request("1234abcd", time.monotonic()))
    assert "(request 1234abcd)" in sentence(ValueError("secret"))
    assert "secret" not in sentence(ValueError("secret"))
    assert {record.request for record in caplog.records} == {"1234abcd"}  # type: ignore[attr-defined]


def test_who_has_waited_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = Request("1234abcd", time.monotonic() - errors.PATIENCE - 1)
    monkeypatch.setattr(errors, "current_request", lambda: long_ago)
    with pytest.raises(Busy, match="try again"):
        predict(CHAIR, "chair-unet")
    # But not a live video, which is one request however long it lasts.
    video = Request("1234abcd", time.monotonic())
    monkeypatch.setattr(errors, "current_request", lambda: video)
    predict(CHAIR, "chair-unet")
    video.arrived -= errors.PATIENCE + 1
    predict(CHAIR, "chair-unet")


def test_who_waits_while_weights_are_fetched_keeps_nobody_from_another_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(hub._under_way, "somebody/segdemo-fcn", None)
    told = answers.look(str(CHAIR), "fcn")
    assert "fetched" in told["error"]
    assert told != answers.look(str(CHAIR), "fcn")  # the browser would not ask again
    assert "photo" in answers.look(str(CHAIR), "chair-unet")
    told, again = (answers.frame(CHAIR.read_bytes(), "fcn") for _ in range(2))
    assert "fetched" in told["error"] and told != again  # of which the page would not hear
    assert "photo" in answers.frame(CHAIR.read_bytes(), "chair-unet")
    assert "fetched" in figures.many([str(CHAIR)], "fcn")[0]["error"]
    *_, inside = figures.of_open_tab("inside", str(CHAIR), "fcn", None, None, 0.5)
    assert "fetched" in inside["error"]
    with pytest.raises(gr.Error, match="fetched"):
        api.segment(str(CHAIR), "fcn", 0.5, 0.5)
    _, reports = api.compare(str(CHAIR), 0.5, 0.5)
    assert ["fetched" in report.get("error", "") for report in reports] == [False, False, True]


def test_a_download_before_the_chosen_models_answer_is_painted_as_its_classes_are() -> None:
    """On screen is still the answer of another model, whose labels stand for other things."""
    asked = SimpleNamespace(
        what="colours.png", threshold=0.5, opacity=1.0, hidden=["sofa"],
        colours=[["chair", [1, 2, 3]], ["unicorn", [4, 5, 6]]],
    )  # fmt: skip
    taken = answers.take(str(CHAIR), "fcn", asked)
    palette, classes = Image.open(taken["path"]).getpalette(), MODELS["fcn"].classes
    found = {label: tuple(palette[3 * label :][:3]) for label in range(1, len(classes))}
    wanted = {classes.index("chair"): (1, 2, 3), classes.index("sofa"): (0, 0, 0)}
    assert found == colours_of(classes) | wanted


# --- weights ------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_missing_and_corrupt_weights_leave_the_other_models(tmp_path: Path) -> None:
    """Cut off, a bit flipped, and then gone: the page starts, and says so for that model."""
    weights = tmp_path / "weights"
    shutil.copytree(FOLDER, weights)
    cut(weights / "chair-unet.safetensors")
    flip(weights / "car-unet-vgg16.safetensors")
    log = tmp_path / "log"
    with server(log, tmp_path / "temp", SEGDEMO_WEIGHTS=str(weights)) as (address, _):
        visitor = Visitor(address)
        for model in ("chair-unet", "car-unet-vgg16"):
            told = visitor.segment(GOOD, model)
            assert isinstance(told, str) and "missing or damaged" in told
            assert str(weights) not in told  # where things lie here is nobody's business
            number = re.search(r"\(request (\w{8})\)", told)
            assert number and number[1] in log.read_text()
        assert visitor.segment(GOOD, "fcn").startswith(b"\x89PNG")
        client = Client(address, verbose=False, download_files=tmp_path / "got")
        overlays, reports = client.predict(photo=handle_file(CHAIR), api_name="/compare")
        assert len(overlays) == 1 and "fcn.overlay.webp" in overlays[0]
        assert [report["model"] for report in reports] == list(MODELS)
        assert ["error" in report for report in reports] == [True, True, False]
        # What is mended works at once.
        shutil.copy(FOLDER / "chair-unet.safetensors", weights)
        assert visitor.segment(GOOD, "chair-unet").startswith(b"\x89PNG")


# --- visitors, files, signals -------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address, and the folder in which its folder for files lies."""
    folder = tmp_path_factory.mktemp("page")
    with server(folder / "log", folder / "temp") as (address, _):
        yield address, folder / "temp"


def test_one_bad_photo_among_eight_is_only_its_own(page: tuple[str, Path]) -> None:
    photos = [encode(Image.fromarray(scene(n)), "PNG") for n in range(8)]
    photos[3] = photos[3][:500]

    def ask(photo: bytes) -> bytes | str:
        return Visitor(page[0]).segment(photo)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, photos))
    assert "cut off" in str(answers.pop(3))
    assert answers == [ask(photo) for n, photo in enumerate(photos) if n != 3]


def test_visitors_who_leave_hold_nobody_up(page: tuple[str, Path]) -> None:
    """Some while queued, some while their photo is worked on."""
    large = encode(Image.fromarray(scene(1, 3000, 4000)), "JPEG")
    visitor = Visitor(page[0])
    path = visitor.upload(large).json()[0]
    for number in range(6):
        event = visitor.ask(path, "fcn").json()["event_id"]
        if number % 2:  # the others never even listen
            with visitor.http.stream("GET", f"/call/segment/{event}"):
                pass
    assert Visitor(page[0]).segment(GOOD).startswith(b"\x89PNG")
    status = visitor.http.get("/queue/status").json()
    assert status["queue_size"] == 0


def test_a_temporary_folder_that_is_gone_comes_back(page: tuple[str, Path]) -> None:
    address, temp = page
    for files in temp.glob("segdemo-*/files"):
        shutil.rmtree(files.rename(temp / "gone"))  # at once: somebody's answer may be under way
    assert Visitor(address).segment(GOOD).startswith(b"\x89PNG")


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    """A limit on how large files may be stands for the disk: the same error from the system."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    with server(tmp_path / "log", tmp_path / "temp") as (address, process):
        visitor = Visitor(address)
        limit = partial(resource.prlimit, process.pid, resource.RLIMIT_FSIZE)
        before = limit()
        limit((100_000, before[1]))
        reply = visitor.upload(encode(Image.fromarray(noise), "PNG"))
        assert reply.status_code == 500 and "no room left" in reply.text
        assert "Traceback" not in reply.text
        # The photo fits, its mask and overlay do not.
        small = visitor.upload(encode(Image.fromarray(noise[:50]), "JPEG")).json()[0]
        limit((1000, before[1]))
        told = visitor.answer(visitor.ask(small))
        assert "no room left" in told or "went wrong" in told
        limit(before)
        assert visitor.segment(GOOD).startswith(b"\x89PNG")


def stopped(address: str, process: Process) -> bool:
    """Whether it has taken notice of its SIGTERM."""
    return Visitor(address).http.get(f"{address}/healthz").status_code == 503


def mask_of(visitor: Visitor, asked: httpx.Response) -> bytes:
    return visitor.fetch(visitor.answer(asked)[1]["path"])


def test_sigterm_lets_running_answers_finish(tmp_path: Path) -> None:
    large = encode(Image.fromarray(scene(1, 3000, 4000)), "JPEG")
    with server(tmp_path / "log", tmp_path / "temp") as (address, process):
        visitor = Visitor(address)
        assert visitor.segment(GOOD).startswith(b"\x89PNG")  # the network is there
        path = visitor.upload(large).json()[0]
        others = [Visitor(address) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(mask_of, other, other.ask(path)) for other in others]
            assert all(other.listens.wait(60) for other in others)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: stopped(address, process))
            reply = visitor.ask(path)
            assert reply.status_code == 503 and "restarting" in reply.json()["detail"]
            masks = [answer.result() for answer in answers]
        assert process.wait(60) == 0
    assert len(set(masks)) == 1
    assert np.asarray(Image.open(BytesIO(masks[0]))).shape == (3000, 4000)
    # No photo is left.
    assert not [path for path in (tmp_path / "temp").rglob("*") if path.is_file()]
    assert "Traceback" not in (tmp_path / "log").read_text()


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_a_second_start_on_a_port_in_use_is_one_sentence(page: tuple[str, Path]) -> None:
    port = page[0].rsplit(":", 1)[1]
    done = start("--port", port)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert f"Port {port} is in use" in done.stderr and "--port" in done.stderr


@pytest.mark.parametrize("host", ["nosuch.invalid", "203.0.113.5"])
def test_an_address_that_is_not_here_is_one_sentence(host: str) -> None:
    done = start("--host", host)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0 and "--host" in done.stderr


def test_a_folder_for_files_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "sitecustomize.py").write_text(
        "import tempfile\n"
        "def full(*_, **__): raise OSError(28, 'No space left on device')\n"
        "tempfile.mkdtemp = full\n"
    )
    done = start(PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "segdemo: No space left on device\n"


def test_a_mistyped_option_is_one_sentence() -> None:
    done = start("--port", "abc")
    assert done.returncode == 2
    assert done.stderr.startswith("segdemo: ") and done.stderr.count("\n") == 1


def test_it_starts_where_all_else_goes_through_a_proxy(tmp_path: Path) -> None:
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    with server(tmp_path / "log", tmp_path / "temp", NO_PROXY="", **nowhere):
        assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_killed_run_leaves_nothing_behind_for_long(tmp_path: Path) -> None:
    """kill -9 leaves its folder; the next start deletes it, and that of no run that lives."""
    temp = tmp_path / "temp"
    with server(tmp_path / "log", temp) as (address, process):
        Visitor(address).segment(GOOD)
        process.kill()
        process.wait()
    (dead,) = temp.glob("segdemo-*")
    with server(tmp_path / "log", temp) as (address, _):
        assert not dead.exists()
        (alive,) = temp.glob("segdemo-*")
        (temp / "segdemo-notes").mkdir()  # somebody's own
        (temp / "segdemo-notes" / "photo.png").touch()
        tempfiles_of(temp, tempfiles.delete_dead_runs)
        assert alive.exists() and (temp / "segdemo-notes" / "photo.png").exists()
        assert Visitor(address).segment(GOOD).startswith(b"\x89PNG")


def tempfiles_of(temp: Path, do: Callable[[], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(temp))
        do()


# --- files that are swept -----------------------------------------------------------------------


def test_the_sweeper_deletes_the_old_the_empty_and_the_excess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: tmp_path / name / "photo" for name in ("old", "older", "new", "big")}
    (tmp_path / "empty").mkdir()
    for path in files.values():
        path.parent.mkdir()
        path.write_bytes(bytes(400))
    sweeper = tempfiles.Sweeper(tmp_path)
    now = time.time()
    for name, age in (("old", 6000), ("older", 300), ("new", 200)):
        os.utime(files[name], (now - age, now - age))
    os.utime(tmp_path / "empty", (now - 700, now - 700))
    sweeper.sweep()
    assert {name for name, path in files.items() if path.exists()} == set(files) - {"old"}
    assert not (tmp_path / "empty").exists()
    assert sweeper.bytes == 3 * (400 + tempfiles.BESIDE)
    monkeypatch.setattr(tempfiles, "MAX_BYTES", 20_000)
    sweeper.sweep()
    assert not files["older"].exists() and files["new"].exists()


def test_an_upload_that_breaks_off_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio forgets those, whatever its delete_cache says."""
    with server(tmp_path / "log", tmp_path / "temp") as (address, _):
        (files,) = (tmp_path / "temp").glob("segdemo-*/files")
        before = set(files.rglob("*"))
        with socket.create_connection(("127.0.0.1", int(address.rsplit(":")[-1]))) as raw:
            raw.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition:"
                b' form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(999)
            )
            wait_until(lambda: set(files.rglob("*")) > before)
        monkeypatch.setattr(tempfiles, "MAX_AGE", -9)
        sweeper = tempfiles.Sweeper(files)
        sweeper.sweep()
        assert set(files.rglob("*")) <= before
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_runner_is_ready_for_many_threads_after_an_error() -> None:
    """The lock of a network that raised is free again."""
    spec = MODELS["chair-unet"]
    failing = Runner(spec, Failing(ValueError("no")), torch.device("cpu"), torch.float32)
    with pytest.raises(ValueError):
        failing(scene(1))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(failing.lock.acquire, timeout=5).result()
        pool.submit(failing.lock.release).result()
    assert ready(spec) is ready(spec)
