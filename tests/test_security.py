"""The real page, as somebody who tries things finds it."""

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import EXAMPLES
from odd_inputs import MASK, NAMES, ODD, encode, photo
from PIL import Image
from visitor import ROOT, Visitor, server, wait_until

import segdemo
from segdemo.__main__ import main
from segdemo.images import MAX_BYTES, BadImage
from segdemo.service import MAX_FILES, MAX_JSON, MAX_UPLOAD

CHAIR = EXAMPLES / "test" / "images" / "chair-dining.webp"
GOOD = encode(photo(), "PNG")

# Writes down every address that the server speaks to and every name that it looks up.
WATCH = """
import os, sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        with open(os.environ["WATCHED"], "a") as file:
            print(event, args[1:] if event.endswith("connect") else args[:1], file=file)
sys.addaudithook(watch)
"""


class Place:
    """A running page, and what is written down about it."""

    def __init__(self, folder: Path) -> None:
        self.log, self.temp = folder / "log", folder / "temp"
        self.watched, self.code = folder / "watched", folder / "code"
        self.code.mkdir()
        (self.code / "sitecustomize.py").write_text(WATCH)
        self.address, self.pid = "", 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    watch = {"PYTHONPATH": str(place.code), "WATCHED": str(place.watched)}
    with server(place.log, place.temp, **watch) as (place.address, process):
        place.pid = process.pid
        yield place


@pytest.fixture
def visitor(place: Place) -> Iterator[Visitor]:
    """And after each test, the page still answers."""
    visitor = Visitor(place.address)
    yield visitor
    assert visitor.segment(GOOD).startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def trap() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that nobody should ask for anything, and what it was asked for."""
    asked: list[str] = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(GOOD)

        def log_message(self, *_: Any) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Trap)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}", asked
    listening.shutdown()


def is_sentence(told: Any) -> bool:
    """Words for a person: one or two short sentences that tell nothing of the inside."""
    inside = ("Traceback", "Error(", str(ROOT), "/etc", "site-packages")
    return isinstance(told, str) and 5 < len(told) < 250 and not any(i in told for i in inside)


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_odd_files_end_in_a_mask_or_in_words(
    name: str, visitor: Visitor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Python, in the terminal, and over HTTP."""
    make, expected = ODD[name]
    path = tmp_path / "photo.png"
    path.write_bytes(make())
    arguments = ["predict", str(path), "--model", "chair-unet", "--out", str(tmp_path / "out")]
    if expected == MASK:
        labels = segdemo.segment(path).labels
        assert main(arguments) == 0
        told = visitor.segment(path.read_bytes())
        for mask in (BytesIO(told), tmp_path / "out" / "photo.mask.png"):
            assert np.array_equal(np.asarray(Image.open(mask)), labels)
        return
    with pytest.raises(BadImage, match=expected):
        segdemo.segment(path)
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert expected in printed and printed.count("\n") == 1
    told = visitor.segment(path.read_bytes())
    assert is_sentence(told) and expected in told


@pytest.mark.parametrize("name", [*NAMES, "../../../up.png", "/etc/passwd", "..\\up.png", "a\0b"])
def test_a_name_is_only_a_name(name: str, visitor: Visitor, place: Place) -> None:
    before = {path for path in place.temp.parent.rglob("*") if place.temp not in path.parents}
    told = visitor.segment(GOOD, name=name)
    assert is_sentence(told) or told.startswith(b"\x89PNG")
    after = {path for path in place.temp.parent.rglob("*") if place.temp not in path.parents}
    assert after == before
    assert "<b>" not in place.log.read_text()


# --- paths and addresses ------------------------------------------------------------------------

PATHS = [
    "/etc/passwd",
    "{files}/a/../photo.png",
    "{trap}/../../../../../../../..{files}/photo.png",
    str(ROOT / "app.py"),
    str(ROOT / ".env"),
    "app.py",
    "{files}/../../../../etc/passwd",
    "{files}/../lock",
    "{files}-other/photo.png",
    "{trap}/photo.png",
    "HTTP://LOCALHOST/photo.png",
    "http://[::1]/photo.png",
    "http://169.254.169.254/latest/meta-data/",
    "https://example.com/photo.png",
    "file:///etc/passwd",
    "//example.com/photo.png",
    "\0/etc/passwd",
    "",
]


def files_of(visitor: Visitor) -> str:
    """The server's folder for files, as everybody sees it who uploads something."""
    return str(Path(visitor.upload(GOOD).json()[0]).parent.parent)


@pytest.mark.parametrize("path", PATHS)
def test_no_path_and_no_address_is_taken_for_a_photo(
    path: str, visitor: Visitor, trap: tuple[str, list[str]]
) -> None:
    path = path.format(files=files_of(visitor), trap=trap[0])
    value = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
    tries = [
        visitor.ask(path),
        visitor.ask({**value, "meta": None}),
        # Gradio fetches for every component, not only for those of files.
        visitor.ask(None, value),
        visitor.ask(None, "fcn", [[value]]),
        visitor.http.post("/run/segment", json={"data": [value, "fcn", 0.5, 0.5]}),
        visitor.http.post("/api/segment", json={"data": [value, "fcn", 0.5, 0.5]}),
    ]
    for fn_index in range(8):
        body = {"data": [value] * 5, "fn_index": fn_index, "session_hash": "abc"}
        tries.append(visitor.http.post("/queue/join", json=body))
        tries.append(visitor.http.post("/run/predict", json=body))
    for reply in tries:
        assert reply.status_code in (400, 404, 500) or is_sentence(visitor.answer(reply))
        assert "root:" not in reply.text and "argparse" not in reply.text
    assert trap[1] == []


def test_a_photo_of_before_a_restart_has_to_be_given_again(visitor: Visitor) -> None:
    """Pages stay open while a server is started anew, in another folder."""
    folder = Path(files_of(visitor)).parent
    asked = visitor.ask(f"{folder.parent}/segdemo-before/files/abc/photo.png")
    assert asked.status_code == 400 and "give it again" in asked.json()["detail"]


def test_an_address_is_refused_that_the_dots_in_it_lead_to_a_visitors_file(
    visitor: Visitor, place: Place
) -> None:
    """By the gate itself: Gradio would ask for it, wherever it is."""
    path = f"http://nosuch.invalid/../../../../../../../..{files_of(visitor)}/photo.png"
    asked = visitor.ask(path)
    assert asked.status_code == 400 and "addresses are not fetched" in asked.json()["detail"]
    for written in (path, path.replace("..", "%2e%2e"), path.replace("../", "..%2f")):
        raw = HTTPConnection(place.address.removeprefix("http://"))  # httpx would fold the dots
        raw.request("GET", f"/gradio_api/file={written}")
        reply = raw.getresponse()
        assert reply.status == 403 and "not one of the page's" in json.load(reply)["detail"]


@pytest.mark.parametrize("path", [path for path in PATHS if path])
def test_no_file_but_the_visitors_is_served(
    path: str, visitor: Visitor, trap: tuple[str, list[str]]
) -> None:
    path = path.format(files=files_of(visitor), trap=trap[0])
    for written in (path, path.replace("/", "%2f").replace(".", "%2e").replace("\0", "%00")):
        if "\0" not in written:
            reply = visitor.http.get(f"/file={written}")
            assert reply.status_code in (403, 404), written
            assert is_sentence(reply.json()["detail"])
    assert trap[1] == []


@pytest.mark.parametrize(
    "route",
    [
        "/gradio_api/deep_link?session_hash=abc",
        "/gradio_api/proxy=https://example.hf.space/",
        "/gradio_api/custom_component/a/client/b/c.js",
        "/gradio_api/vibe-code",
        "/gradio_api/runs",
        "/monitoring",
        "/monitoring/summary",
        "/docs",
        "/openapi.json",
        "/pwa_icon/100000",
        "/static/../../../../../../../../etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/svelte/..%2f..%2fapp.py",
        "/nothing",
        "/metrics",
    ],
)
def test_what_the_page_does_not_need_is_closed(route: str, visitor: Visitor, place: Place) -> None:
    reply = httpx.get(f"{place.address}{route}")
    assert reply.status_code in (403, 404)
    assert "root:" not in reply.text
    for closed in ("component_server", "process_recording", "vibe-edit"):
        assert visitor.http.post(f"/{closed}", json={}).status_code == 404


def test_no_call_passes_by_the_queue(visitor: Visitor) -> None:
    path = visitor.upload(GOOD).json()[0]
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "fcn", 0.5, 0.5]
    for way in ("run", "api"):
        assert visitor.http.post(f"/{way}/segment", json={"data": data}).status_code == 404


# --- values that no page sends ------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [7, "text", [], {}, [[]], {"path": 7}, {"url": "data:,x"}, True])
def test_a_photo_that_is_none_is_answered_in_words(wrong: Any, visitor: Visitor) -> None:
    reply = visitor.ask(wrong)
    assert is_sentence(visitor.answer(reply))


@pytest.mark.parametrize(
    "rest",
    [
        ("nothing",),
        (7,),
        (["fcn"],),
        ("<script>alert(1)</script>",),
        ("fcn", "high"),
        ("fcn", None),
        ("fcn", -5),
        ("fcn", float("1e308")),
        ("fcn", 0.5, "x"),
        ("fcn", 0.5, 99),
        ("fcn", 0.5, {}),
    ],
)
def test_wrong_settings_are_answered_in_words(rest: tuple[Any, ...], visitor: Visitor) -> None:
    path = visitor.upload(GOOD).json()[0]
    told = visitor.answer(visitor.ask(path, *rest))
    assert is_sentence(told) or isinstance(told, list)


def test_no_body_upsets_it(visitor: Visitor) -> None:
    bodies = [b"", b"{", b"[" * 100_000, b"null", b"7", b'{"data": 7}', b"\xff\xfe", b'{"data":[]}']
    for body in bodies:
        for route in ("/call/segment", "/queue/join", "/call/v2/segment", "/cancel", "/reset"):
            reply = visitor.http.post(route, content=body)
            assert reply.status_code < 500 and "Traceback" not in reply.text, (route, body[:20])


def test_calls_that_are_wrong_are_told_so(visitor: Visitor) -> None:
    for route in ("/call/nothing", "/call/v2/nothing", "/call/v2/segment"):
        reply = visitor.http.post(route, json={"foto": 1, "data": []})
        assert reply.status_code == 400 and "/gradio_api/info" in reply.json()["detail"]
    path = visitor.upload(GOOD).json()[0]
    few = visitor.http.post("/call/segment", json={"data": [{"path": path}]})
    assert "/gradio_api/info" in visitor.answer(few)


def test_an_answer_that_is_not_there_ends(visitor: Visitor) -> None:
    reply = visitor.http.get(f"/call/segment/{'0' * 32}")
    assert reply.status_code in (200, 404) and "Traceback" not in reply.text


def test_odd_ranges_of_a_file_are_left_out(visitor: Visitor) -> None:
    path = visitor.upload(GOOD).json()[0]
    for odd in ("bytes=0-1,3-4", "bytes=-", "lines=1-2"):
        reply = visitor.http.get(f"/file={path}", headers={"Range": odd})
        assert (reply.status_code, reply.content) == (200, GOOD)
    part = visitor.http.get(f"/file={path}", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, GOOD[:4])


# --- limits -------------------------------------------------------------------------------------


def test_limits_of_what_is_taken_in(visitor: Visitor, place: Place) -> None:
    told = visitor.segment(bytes(MAX_BYTES + 1))
    assert isinstance(told, str) and "maximum allowed size" in told
    reply = visitor.http.post("/call/segment", content=b" " * (MAX_JSON + 1))
    assert reply.status_code == 413
    # A few bytes that would keep the whole server busy for a minute.
    for many in (b'{"data":[' + b"[]," * 10_000 + b"0]}", b"[" + b"{}," * 10_000 + b"0]"):
        assert visitor.http.post("/call/segment", content=many).status_code == 413
    # What is no file would be held in memory.
    reply = visitor.http.post("/upload", data={"files": "x" * 100_000}, files={"files": GOOD})
    assert reply.status_code == 400 and is_sentence(reply.text)
    # Each would be held open until the last has come.
    reply = visitor.http.post("/upload", files=[("files", b"")] * (MAX_FILES + 1))
    assert (reply.status_code, reply.text) == (
        400, f"Too many files. Maximum number of files is {MAX_FILES}."
    )  # fmt: skip
    # Names of clients are kept.
    body = {"data": [], "fn_index": 0, "session_hash": "x" * 1000}
    reply = visitor.http.post("/queue/join", json=body)
    assert reply.status_code == 400 and is_sentence(reply.json()["detail"])
    reply = visitor.http.get(f"/upload_progress?upload_id={'x' * 5000}")
    assert reply.status_code == 414 and is_sentence(reply.text)
    # Refused by what it says of itself, before any of it is sent.
    for length, status in (
        (f"Content-Length: {MAX_UPLOAD + 1}", 413),
        ("Transfer-Encoding: chunked", 411),
        ("Content-Length: 10\r\nTransfer-Encoding: chunked", 411),
    ):
        with socket.create_connection(("127.0.0.1", httpx.URL(place.address).port or 0)) as raw:
            raw.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n" + length.encode() + b"\r\n\r\n"
            )
            assert raw.recv(100).startswith(f"HTTP/1.1 {status}".encode())


# --- replies ------------------------------------------------------------------------------------


def test_headers(visitor: Visitor, place: Place) -> None:
    for route in ("/", "/config", "/gradio_api/info", "/healthz", "/nothing"):
        headers = httpx.get(f"{place.address}{route}").headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors *" in policy and "default-src 'self'" in policy
        assert "x-frame-options" not in headers  # anybody may embed the page
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert len(headers["x-request-id"]) == 8


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.js", "a.png"])
def test_an_upload_never_becomes_a_page(name: str, visitor: Visitor) -> None:
    content = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    reply = visitor.http.get(f"/file={visitor.upload(content, name).json()[0]}")
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-type"] in ("application/octet-stream", "image/png")


def test_what_is_found_is_told_to_nobody_else(visitor: Visitor, place: Place) -> None:
    """The same photo twice: files of their own, at places that nobody can guess."""
    path = visitor.upload(CHAIR.read_bytes(), "chair.webp").json()[0]
    answers = [visitor.answer(visitor.ask(path)) for _ in range(2)]
    paths = {part["path"] for answer in answers for part in answer[:2]}
    assert len(paths) == 4
    # 128 bits of the system's: tempfile's names tell, after some hundreds, what comes next.
    assert all(re.fullmatch("[0-9a-f]{32}", Path(path).parent.name) for path in paths)
    folder = str(Path(answers[0][1]["path"]).parent)
    assert visitor.http.get(f"/file={folder}").status_code == 403
    assert visitor.http.get(f"/file={folder}/").status_code == 403


# --- afterwards: these stand last, since they look back on all of the above ---------------------


def test_it_listens_on_this_machine_only(place: Place) -> None:
    port = httpx.URL(place.address).port or 0
    listening = [
        line.split()[1].split(":")[0]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if os.path.exists(table)
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    ]
    assert listening == ["0100007F"]  # 127.0.0.1


def test_it_spoke_to_nobody_else(place: Place) -> None:
    """No telemetry, and no address of a visitor's was fetched or looked up."""
    spoken = place.watched.read_text().splitlines()
    assert spoken  # Gradio asks itself whether it has started
    assert not [line for line in spoken if "127.0.0.1" not in line and "localhost" not in line]


def test_the_log_holds_no_photo_and_no_address(place: Place, visitor: Visitor) -> None:
    answers = place.log.read_text().count('"answered"')
    assert isinstance(visitor.segment(GOOD, name="my-secret-holiday.png"), bytes)
    path = visitor.upload(GOOD, "my-secret-holiday.png").json()[0]
    for data in ([{"path": path}], ["my-secret-holiday.png", "fcn", 0.5, 0.5]):
        visitor.answer(visitor.http.post("/call/segment", json={"data": data}))
    wait_until(lambda: place.log.read_text().count('"answered"') > answers)
    lines = [x for x in place.log.read_text().splitlines() if not x.startswith("segdemo: ")]
    known = {"time", "level", "event", "request", "model", "milliseconds", "kind", "exception"}
    for line in lines:
        assert set(json.loads(line)) <= known
        assert "127.0.0.1" not in line and "secret" not in line
    answered = [json.loads(line) for line in lines if '"answered"' in line]
    assert all(len(line["request"]) == 8 for line in answered)
