"""Around the page: what of it can be reached, how much is taken in, what every reply says."""

import asyncio
import errno
import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio
from gradio.context import LocalContext
from gradio.route_utils import FnIndexInferError, GradioMultiPartParser
from gradio.state_holder import SessionState
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import embed, errors, preview
from .errors import Request, sentence
from .images import MAX_BYTES
from .logs import Metrics
from .registry import MODELS
from .tempfiles import PREFIX

log = logging.getLogger("segdemo")

MAX_UPLOAD = 8 * MAX_BYTES  # bytes of one upload: a few photos at once
MAX_JSON = 5_000_000  # bytes of any other request; only a frame of live video comes near
MAX_FILES = 100  # of one upload; each is open until the last has come
MAX_ADDRESS = 4_000  # bytes of a path and what is asked of it; a photo's name may take 765
MAX_NAME = 100  # letters of what a client calls itself, which is kept
MAX_VALUES = 5_000  # in such a request; each costs Gradio far more than a byte of a string
UPLOAD_SECONDS, JSON_SECONDS = 300, 30  # in which a request must have come in
DRAIN_SECONDS = 25  # for running answers at the end; systemd, Docker and others kill later or so

# What of Gradio the page and its API need. The rest is closed: it stores visitors' sessions
# (deep_link), fetches addresses (proxy=), starts ffmpeg (process_recording) and more.
OPEN = re.compile(
    r"/|/(healthz|metrics|config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|gradio_api)/?"
    r"|/(assets|static|svelte)/.+"
    r"|/gradio\.js|/preview\.webp|/log(in|out)"
    r"|/gradio_api/(info|openapi\.json|app_id|user|login_check|heartbeat|upload|upload_progress"
    r"|queue|run|call|cancel|reset|stream|startup-events|theme\.css|mcp)(/.*)?"
    r"|/gradio_api/file=.+"
)
FILE = "/gradio_api/file="
UPLOAD = "/gradio_api/upload"
CALL = "/gradio_api/call/"  # what programs use
# Several ranges at once end in an error of Gradio's.
RANGE = re.compile(rb"bytes=(\d+-\d*|-\d+)")
ADDRESS = re.compile(r"\s*(https?|ftp|file):", re.IGNORECASE)
NO_SUCH_CALL = "There is no such endpoint, or it takes other arguments: see /gradio_api/info."
OTHER_ARGUMENTS = "This failed: are the arguments those that /gradio_api/info describes?"
NOT_FETCHED = "A photo must be uploaded: addresses are not fetched."
GONE = "A file that you gave is no longer kept here: give it again."
# Streams that end when the other side goes.
LASTING = ("/gradio_api/heartbeat", "/gradio_api/upload_progress", "/gradio_api/mcp")
# An answer comes over one of these.
ANSWERS = re.compile(r"/gradio_api/(queue/data|call/.+/.+)")

HEADERS = {
    # Gradio's page has scripts and styles inline, and makes functions of strings (`js=`).
    # frame-ancestors: anybody may show the page in theirs.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: "
        "blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors *"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# A visitor's file is a picture to look at or to save; as a page of its own it may do nothing.
FILE_POLICY = "default-src 'none'; sandbox"


class Refusal(Exception):
    """A request that is not let in. str(e) is one plain sentence."""

    def __init__(self, status: HTTPStatus, told: str) -> None:
        super().__init__(told)
        self.status = status


class Service:
    """What runs beside the page: its gate, health and metrics.

    files: the folder of visitors' files. metrics: what /metrics serves, if anything.
    """

    def __init__(self, files: Path, metrics: Metrics | None = None) -> None:
        self.files, self.metrics = files, metrics
        self.stopping = False
        self.running = 0  # requests to Gradio, but for those that last as long as a page is open
        errors.current_request = answered_request

    @property
    def app_kwargs(self) -> dict[str, Any]:
        """For Gradio's launch()."""
        routes = [Route("/healthz", self.healthz), embed.ROUTE, preview.ROUTE]
        if self.metrics:
            routes.append(Route("/metrics", self.show_metrics))
        return {"routes": routes, "middleware": [Middleware(Gate, service=self)]}

    def healthz(self, _: HttpRequest) -> Response:
        if self.stopping:
            return JSONResponse({"status": "stopping"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok", "models": list(MODELS)})

    def show_metrics(self, _: HttpRequest) -> Response:
        assert self.metrics
        return Response(self.metrics.page(), media_type=self.metrics.content_type)

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take nothing new, and wait until what is running is answered and fetched."""
        self.stopping = True
        last = time.monotonic()
        end = last + seconds
        # Files are fetched after their answer: over only when nothing has run for a while.
        while (now := time.monotonic()) < end and now - last < 1:
            last = now if self.running else last
            time.sleep(0.05)


def answered_request() -> Request | None:
    """The request that Gradio is answering in this thread."""
    inner = getattr(LocalContext.request.get(None), "request", None)
    return inner.scope.get("segdemo") if inner else None


class Gate:
    """Middleware: every request goes through it, before Gradio sees it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service
        self.page = GZipMiddleware(app)  # Gradio compresses the scripts, but not the page itself

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        request = scope["segdemo"] = Request(secrets.token_hex(4), time.monotonic())
        reply = Reply(send, path, request)
        lasts = scope["method"] == "GET" and path.startswith(LASTING)
        counted = path.startswith("/gradio_api") and not lasts
        self.service.running += counted
        try:
            receive = await self.let_in(scope, receive)
            limit = (
                UPLOAD_SECONDS if path.startswith(UPLOAD) and scope["method"] == "POST" else None
            )
            async with asyncio.timeout(limit):
                await (self.page if path == "/" else self.app)(scope, receive, reply)
        except ClientDisconnect:
            pass  # nobody is left to be told anything
        except Exception as error:
            if reply.started:  # an answer that is no longer there, and then all that can be done
                log.error("failed", extra={"kind": type(error).__name__}, exc_info=error)
                await reply({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await refuse(error, request, path)(scope, receive, reply)
        finally:
            self.service.running -= counted

    async def let_in(self, scope: Scope, receive: Receive) -> Receive:
        """What Gradio is to read the request with. Raises Refusal, TimeoutError."""
        path, method = scope["path"], scope["method"]
        if len(path) + len(scope["query_string"]) > MAX_ADDRESS:
            raise Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "This address is too long.")
        if not OPEN.fullmatch(path):
            raise Refusal(HTTPStatus.NOT_FOUND, "There is no such page here.")
        if path.startswith(FILE) and not self.is_ours(path.removeprefix(FILE)):
            raise Refusal(HTTPStatus.FORBIDDEN, "This file is not one of the page's.")
        if method != "POST":
            scope["headers"] = [
                (key, value)
                for key, value in scope["headers"]
                if key != b"range" or RANGE.fullmatch(value)
            ]
            return receive
        if self.service.stopping:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "This server is restarting: try again in a minute."
            )
        if not path.startswith(UPLOAD):
            async with asyncio.timeout(JSON_SECONDS):
                body = await read(receive, MAX_JSON)
            if path != "/login":  # a form: a name and a password
                self.check_files(path, body)
            return replay(body, receive)
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        # Where it comes in chunks too, the length that it says would count for nothing.
        if not length.isdecimal() or "transfer-encoding" in headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "An upload must say how long it is.")
        if int(length) > MAX_UPLOAD:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"These are more than {MAX_UPLOAD / 1e6:g} MB at once: give fewer photos.",
            )
        return receive

    def check_files(self, path: str, body: bytes) -> None:
        """Refuse a body that names a file which is no upload, or its client by a long name.

        Gradio looks at the paths too, but fetches those that are addresses, for any component.
        """
        if sum(body.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This request is too large.")
        try:
            found = json.loads(body) if body else None
        except (ValueError, RecursionError) as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "This request is not proper JSON.") from error
        client = found.get("session_hash") if isinstance(found, dict) else None
        if isinstance(client, str) and len(client) > MAX_NAME:
            raise Refusal(HTTPStatus.BAD_REQUEST, "This session_hash is too long.")
        # What a tool of MCP is given, Gradio would fetch too.
        tool = path.startswith("/gradio_api/mcp")
        pending = [(found, False)]
        while pending:
            item, given = pending.pop()
            if isinstance(item, str) and given and ADDRESS.match(item):
                raise Refusal(HTTPStatus.BAD_REQUEST, NOT_FETCHED)
            if not isinstance(item, dict | list):
                continue
            for key, part in item.items() if isinstance(item, dict) else enumerate(item):
                pending.append((part, given or (tool and key == "arguments")))
            named = item.get("path") if isinstance(item, dict) else None
            if named is not None and not (isinstance(named, str) and self.is_ours(named)):
                gone = isinstance(named, str) and self.was_ours(named)
                raise Refusal(HTTPStatus.BAD_REQUEST, GONE if gone else NOT_FETCHED)

    def is_ours(self, path: str) -> bool:
        """Whether it is the path of something in the folder of visitors' files.

        As it is: an address may become such a path by the `..` in it, and is fetched all the same.
        """
        inside = path.startswith(f"{self.service.files}{os.sep}")
        return inside and "\0" not in path and os.path.normpath(path) == path

    def was_ours(self, path: str) -> bool:
        """Whether a page may have it that was open before the server was started anew."""
        return path.startswith(str(self.service.files.parent.parent / PREFIX))


async def read(receive: Receive, limit: int) -> bytes:
    """The body of a request. Raises Refusal beyond `limit` bytes."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > limit:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This request is too large.")
    return body


def replay(body: bytes, receive: Receive) -> Receive:
    """`receive`, with a body that was read already coming first."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again


def refuse(error: Exception, request: Request, path: str) -> Response:
    """The reply to a request that was not let in, or that failed."""
    if isinstance(error, TimeoutError):
        error = Refusal(HTTPStatus.REQUEST_TIMEOUT, "This came too slowly: please try again.")
    if path.startswith(CALL) and isinstance(error, FnIndexInferError | KeyError | TypeError):
        error = Refusal(HTTPStatus.BAD_REQUEST, NO_SUCH_CALL)
    if isinstance(error, Refusal):
        told, status = str(error), error.status
    else:
        told, status = sentence(error, request), HTTPStatus.INTERNAL_SERVER_ERROR
    if path.startswith(UPLOAD):  # the page shows what such a reply says, as it is
        return PlainTextResponse(told, status)
    return JSONResponse({"detail": told, "error": told}, status)


class FilesOnly(GradioMultiPartParser):
    """Gradio's parser of uploads holds what is no file in memory, however much it is.

    And a thousand files open, however slowly they come.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options | {"max_files": MAX_FILES})

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            raise MultiPartException("An upload holds files and nothing else.")
        super().on_part_data(data, start, end)


gradio.route_utils.GradioMultiPartParser = FilesOnly  # type: ignore[misc]


def begin_empty(session: SessionState, blocks: gradio.Blocks) -> None:
    """In the place of Gradio's own, which copies all parts of the page for each visit and call.

    That is for links to a page's state, closed here; it takes 0.1 MB and 10 ms.
    """
    as_gradio_begins(session, SimpleNamespace(default_config=blocks.default_config, blocks={}))


def keep_nothing(_session: SessionState, _part: int, _value: Any) -> None:
    """In the place of Gradio's own, which holds the last value of each part, as frames of cameras.

    For such links too.
    """


as_gradio_begins: Callable[..., None] = SessionState.__init__
SessionState.__init__ = begin_empty  # type: ignore[assignment,method-assign]
SessionState._update_value_in_config = keep_nothing  # type: ignore[assignment,method-assign]


class Reply:
    """Sends a reply, with our headers, and words for errors that Gradio has none for."""

    def __init__(self, send: Send, path: str, request: Request) -> None:
        self.send, self.path, self.request = send, path, request
        self.started = False
        self.answers = bool(ANSWERS.fullmatch(path))

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            headers["X-Request-ID"] = self.request.id
            if self.path.startswith(FILE):
                headers["Content-Security-Policy"] = FILE_POLICY
            status = HTTPStatus(message["status"])
            if status == HTTPStatus.SERVICE_UNAVAILABLE:  # the queue is full, or we are stopping
                headers["Retry-After"] = "10"
            if 400 <= status < 500 or status == HTTPStatus.SERVICE_UNAVAILABLE:
                log.info("refused", extra={"kind": status.phrase, "request": self.request.id})
        elif self.answers and message["type"] == "http.response.body":
            message = {**message, "body": self.worded(message.get("body", b""))}
        await self.send(message)

    def worded(self, part: bytes) -> bytes:
        """Gradio says nothing of what fails before and after our own code: it has printed it."""
        for silent in (b'"output":{"error":null}', b'event: error\ndata: {"error": null}'):
            if silent in part:
                told = sentence(RuntimeError("Gradio failed, see above"), self.request)
                if self.path.startswith(CALL):
                    told = f"{OTHER_ARGUMENTS} (request {self.request.id})"
                spoken = silent.replace(b"null", json.dumps(told).encode())
                part = part.replace(silent, spoken)
        return part


def past_proxies(host: str | None = None) -> None:
    """Let this process reach pages of this machine: no proxy can know them.

    Gradio asks its own whether it is there.
    """
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    own = ",".join(filter(None, (known, "127.0.0.1,localhost", host)))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = own


def check_address(host: str | None, port: int | None) -> None:
    """Raise OSError where nobody can listen: Gradio would try 100 ports, 5 seconds each."""
    host = (host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1").strip("[]")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
    except UnicodeError as error:  # what can be no name at all, as a..b
        raise socket.gaierror(str(error)) from error
    with socket.socket(family, kind) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
        tried.bind(place)


def in_words(error: OSError, port: int | None) -> str:
    """What to say where no port can be listened on."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "There is no such address on this machine: choose another with --host."
    if isinstance(error, PermissionError):
        return "This port needs more rights: choose one from 1024 on with --port."
    if error.errno != errno.EADDRINUSE and "empty port" not in str(error):  # Gradio's own
        return f"{error.strerror or error}."
    which = f"Port {port} is" if port else "All ports that were tried are"
    return f"{which} in use: choose another with --port."
