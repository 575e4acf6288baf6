"""The part of the Hugging Face Hub that its client uses here, on this machine, with its faults.

Repositories with commits, large files behind a redirect to another host with ranges, tokens,
private repositories, commits with LFS, and the variables and hardware of a Space.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    """Commits, oldest first: hash and files by path."""

    private: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"

    def commit(self, files: dict[str, bytes]) -> str:
        parent = self.commits[-1][0] if self.commits else ""
        digest = hashlib.sha1(f"{parent}{time.time_ns()}{sorted(files)}".encode()).hexdigest()
        self.commits.append((digest, files))
        return digest

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1] if self.commits else None
        return next((commit for commit in self.commits if commit[0] == revision), None)


class Hub(ThreadingHTTPServer):
    """Listens from the start until `stop`. `fault` is what goes wrong with downloads.

    answers: an HTTP status, for every question. silent: no answer. dripping: an answer that does
    not end. portal: a page that is not the Hub's. slow, cut-once, cut-without-ranges, corrupt,
    corrupt-once: what happens to the bytes of a large file.
    """

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        self.tokens = {"good-token": "someone"}
        self.fault: str | int = ""
        self.pays = True  # whoever asks, for more than ZeroGPU
        self.asked: Counter[str] = Counter()  # "METHOD /path" -> how often
        self.sent = threading.Event()  # some bytes of a large file are under way
        self.stopped = threading.Event()
        self.connections: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()
        for connection in self.connections:  # those that clients keep open
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def add(self, name: str, content: bytes, private: bool = False) -> str:
        """A model repository with these weights; the hash of its commit."""
        repo = self.repos.setdefault(("model", name), Repo(private))
        self.large[hashlib.sha256(content).hexdigest()] = content
        return repo.commit({"model.safetensors": content})

    def downloads(self) -> int:
        return sum(n for line, n in self.asked.items() if line.startswith("GET /cdn/"))

    def changes(self) -> list[str]:
        """What was asked that changes something."""
        reads = ("preupload", "paths-info", "validate-yaml")
        lines = [line for line in self.asked if line.startswith(("POST", "PUT", "DELETE"))]
        return [line for line in lines if not any(part in line for part in reads)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that are killed


def is_large(path: str, content: bytes) -> bool:
    return path.endswith(".safetensors") or b"\0" in content[:512]


def oid(path: str, content: bytes) -> str:
    """What git calls the file, or LFS."""
    if is_large(path, content):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.handle_any()

    def do_GET(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_PUT(self) -> None:
        self.handle_any()

    def do_DELETE(self) -> None:
        self.handle_any()

    def handle_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.server.asked[f"{self.command} {path}"] += 1
        if path.startswith("/cdn/"):
            return self.send_large(path.removeprefix("/cdn/"))
        if self.go_wrong():
            return None
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user = self.server.tokens.get(token)
        if token and not self.user:
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        for method, pattern, answer in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split():
                return answer(self, **match.groupdict())
        return self.refuse(404, "", f"no such route: {path}")

    def go_wrong(self) -> bool:
        fault = self.server.fault
        self.close_connection = isinstance(fault, int) or fault in ("silent", "dripping", "portal")
        if isinstance(fault, int):
            self.refuse(fault, "", "trouble")
        elif fault == "silent":
            self.server.stopped.wait(60)
        elif fault == "dripping":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.server.stopped.wait(0.3):
                self.wfile.write(b"X-More: more\r\n")
        elif fault == "portal":
            self.reply(200, b"<h1>Log in to this network</h1>", {"Content-Type": "text/html"})
        return self.close_connection

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, content: Any, status: int = 200) -> None:
        self.reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.reply(status, body, {"X-Error-Code": code, "X-Error-Message": message})

    def find(self, kind: str, name: str) -> Repo | None:
        """The repository, or None after a refusal in the Hub's way."""
        repo = self.server.repos.get((kind, name))
        if repo is None or (repo.private and not self.user):
            self.refuse(404 if self.user else 401, "RepoNotFound", "Repository not found")
            return None
        return repo

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        repo = self.find((kind or "models/").rstrip("s/"), name)
        if repo is None:
            return
        commit = repo.at(revision)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "no such revision")
        if path not in commit[1]:
            return self.refuse(404, "EntryNotFound", "no such file")
        content = commit[1][path]
        about = {"X-Repo-Commit": commit[0], "ETag": f'"{oid(path, content)}"'}
        if not is_large(path, content):
            return self.reply(200, content, about)
        digest = hashlib.sha256(content).hexdigest()
        # Another host, as on the Hub, where the token must not go.
        where = f"http://localhost:{self.server.server_port}/cdn/{digest}"
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        self.reply(302, b"", about | linked | {"Location": where})

    def send_large(self, digest: str) -> None:
        assert "Authorization" not in self.headers
        fault, content = self.server.fault, self.server.large[digest]
        if fault in ("corrupt", "corrupt-once"):
            content = content[:-9] + b"corrupted"
        if fault in ("corrupt-once", "cut-once"):
            self.server.fault = ""
        start, total = 0, len(content)
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and fault != "cut-without-ranges":
            start = int(wanted[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(total - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        cut = fault in ("cut-once", "cut-without-ranges")
        end = start + (total - start) // 2 if cut else total
        for at in range(start, end, 1 << 20):
            self.wfile.write(content[at : min(at + (1 << 20), end)])
            self.server.sent.set()
            if fault == "slow":
                time.sleep(0.3)
        self.close_connection = end < total

    # What `publish` uses.

    def whoami(self) -> None:
        if not self.user:
            return self.refuse(401, "", "Invalid username or password.")
        self.json({"type": "user", "name": self.user, "orgs": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        kind, name = asked.get("type") or "model", f"{asked['organization']}/{asked['name']}"
        if not self.user:
            return self.refuse(401, "", "Invalid username or password.")
        if asked["organization"] != self.user:
            return self.refuse(403, "", f"You may not write to {asked['organization']}")
        if (kind, name) in self.server.repos:
            return self.refuse(409, "", "You already created this repo")
        hardware = asked.get("hardware", "cpu-basic")
        if kind == "space" and hardware != "zero-a10g" and not self.server.pays:
            return self.refuse(402, "", "Subscribe to PRO to create a Space on cpu-basic.")
        repo = self.server.repos[kind, name] = Repo(hardware=hardware)
        repo.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        self.json({"url": f"http://127.0.0.1:{self.server.server_port}/{name}"})

    def info(self, kind: str, name: str, revision: str | None = None) -> None:
        repo = self.find(kind, name)
        if repo is None:
            return
        commit = repo.at(revision or "main")
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "no such revision")
        siblings = []
        for path, content in commit[1].items():
            siblings.append({"rfilename": path, "size": len(content), "blobId": "0" * 40})
            if is_large(path, content):
                siblings[-1]["lfs"] = {
                    "sha256": oid(path, content),
                    "size": len(content),
                    "pointerSize": 130,
                }
            else:
                siblings[-1]["blobId"] = oid(path, content)
        self.json({"id": name, "sha": commit[0], "private": repo.private, "siblings": siblings})

    def validate(self) -> None:
        if b"licence-of-nobody" in self.body:
            self.json({"warnings": [], "errors": [{"message": "no such licence"}]}, 400)
        else:
            self.json({"warnings": [], "errors": []})

    def preupload(self, kind: str, name: str) -> None:
        repo = self.find(kind, name)
        if repo is None:
            return
        files, (_, held) = [], repo.commits[-1]
        for file in json.loads(self.body)["files"]:
            path, sample = file["path"], base64.b64decode(file["sample"])
            files.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if is_large(path, sample) else "regular",
                    "shouldIgnore": False,
                    "oid": oid(path, held[path]) if path in held else None,
                }
            )
        self.json({"files": files})

    def lfs_batch(self, kind: str | None, name: str) -> None:
        objects = json.loads(self.body)["objects"]
        here = f"http://127.0.0.1:{self.server.server_port}/lfs/"
        for wanted in objects:
            if wanted["oid"] not in self.server.large:
                wanted["actions"] = {"upload": {"href": here + wanted["oid"]}}
        self.json({"transfer": "basic", "objects": objects})

    def lfs_put(self, digest: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == digest
        self.server.large[digest] = self.body
        self.reply(200)

    def commit(self, kind: str, name: str) -> None:
        repo = self.find(kind, name)
        if repo is None:
            return
        files = dict(repo.commits[-1][1])
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        digest = repo.commit(files)
        here = f"http://127.0.0.1:{self.server.server_port}/{name}/commit/{digest}"
        self.json({"commitUrl": here, "commitOid": digest, "pullRequestUrl": None})

    def variables(self, name: str) -> None:
        repo = self.find("space", name)
        if repo is None:
            return
        if self.command == "POST":
            asked = json.loads(self.body)
            repo.variables[asked["key"]] = asked["value"]
        self.json({key: {"key": key, "value": value} for key, value in repo.variables.items()})

    def runtime(self, name: str) -> None:
        repo = self.find("space", name)
        if repo is None:
            return
        if self.command == "POST":
            repo.hardware = json.loads(self.body)["flavor"]
        hardware = {"current": repo.hardware, "requested": repo.hardware}
        self.json({"stage": "RUNNING", "hardware": hardware, "gcTimeout": None})


API = r"/api/(?P<kind>model|space)s/(?P<name>[^/]+/[^/]+)"
ROUTES = [
    (
        "GET HEAD",
        r"/(?P<kind>spaces/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        Handler.resolve,
    ),
    ("GET", "/api/whoami-v2", Handler.whoami),
    ("POST", "/api/repos/create", Handler.create),
    ("GET", API, Handler.info),
    ("GET", API + r"/revision/(?P<revision>[^/]+)", Handler.info),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("POST", API + "/preupload/main", Handler.preupload),
    ("POST", API + "/commit/main", Handler.commit),
    (
        "POST",
        r"/(?P<kind>spaces/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch",
        Handler.lfs_batch,
    ),
    ("PUT", "/lfs/(?P<digest>[0-9a-f]{64})", Handler.lfs_put),
    ("GET POST", "/api/spaces/(?P<name>[^/]+/[^/]+)/variables", Handler.variables),
    ("GET", "/api/spaces/(?P<name>[^/]+/[^/]+)/runtime", Handler.runtime),
    ("POST", "/api/spaces/(?P<name>[^/]+/[^/]+)/hardware", Handler.runtime),
]
