"""A file of the Hugging Face Hub, checked: from its cache if it is there, else fetched."""

import hashlib
import re
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, ClassVar

import httpx2
from huggingface_hub import (
    constants,
    errors,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

FILE = "model.safetensors"  # what a model's weights are called in its repository
PATIENCE = 5  # seconds that the Hub has for its first answer
SHA256 = "[0-9a-f]{64}"
ABANDONED = 600  # seconds after which a part of a file that nobody writes to is left over

# What the client wraps the true error in.
CARRIERS = (errors.LocalEntryNotFoundError, ValueError, RuntimeError)

_under_way: dict[str, "Bar | None"] = {}  # by repository; nothing is known of it at first


class HubError(RuntimeError):
    """A file that the Hub did not give; str(e) is a clause, to follow "and" or a colon."""


def cached(repo: str, revision: str, sha256: str | None = None) -> Path | None:
    """The weights of `repo` in the Hub's cache, if they are those; no network is used."""
    try:
        found = try_to_load_from_cache(repo, FILE, revision=revision)
    except errors.HFValidationError:  # no such name can be there
        return None
    if not isinstance(found, str):
        return None
    path = Path(found)
    if sha256 is None and re.fullmatch(SHA256, path.resolve().name):
        sha256 = path.resolve().name  # the cache's own name for what the Hub said that it is
    return path if sha256 in (None, sha256_of(path)) else None


def fetch(repo: str, revision: str = "main", sha256: str | None = None) -> Path:
    """The weights of `repo`, from the Hub's cache or the Hub, with that sha256.

    revision: a full commit hash, or the name of a branch, which is looked up once. sha256: in
    hexadecimal; without one, what the Hub says of the file holds. A wrong file is fetched once
    more, then deleted. Raises HubError.
    """
    try:
        path = cached(repo, revision, sha256)
        if path is None:
            _under_way[repo] = None
            if re.fullmatch(SHA256, told := ask(repo, revision)):
                if sha256 not in (None, told):
                    raise HubError(f"{repo} on the Hub holds other weights at {revision}")
                sha256 = told
            path = download(repo, revision, sha256)
    except HubError:
        raise
    except (OSError, ValueError, RuntimeError, httpx2.HTTPError) as error:
        # RuntimeError: of hf_xet, the client's own way to the Hub's files, whatever it was.
        raise HubError(clause(error, repo, revision)) from error
    finally:
        _under_way.pop(repo, None)
    return path


def ask(repo: str, revision: str) -> str:
    """The ETag that the Hub has for the weights of `repo`: asked once, with little time to answer.

    hf_hub_download alone would try for 23 seconds and more where there is no network. And a
    thread, since no timeout of a client ends the search for the name of a host.
    """
    answers: SimpleQueue[Any] = SimpleQueue()

    def put_answer() -> None:
        try:
            url = hf_hub_url(repo, FILE, revision=revision)
            answers.put(get_hf_file_metadata(url, timeout=PATIENCE))
        except Exception as error:  # broad: it is raised below, where somebody waits for it
            answers.put(error)

    Thread(target=put_answer, daemon=True).start()
    try:
        answer = answers.get(timeout=PATIENCE + 1)
    except Empty:
        raise httpx2.ConnectTimeout("no answer") from None
    if isinstance(answer, Exception):
        raise answer
    if not answer.etag or not answer.commit_hash:
        raise errors.FileMetadataError("no file of a Hub")
    return answer.etag


def download(repo: str, revision: str, sha256: str | None) -> Path:
    """The file of that commit, checked, since neither the Hub's client nor its cache does it."""
    sweep(repo)
    for again in (False, True):
        path = Path(
            hf_hub_download(
                repo,
                FILE,
                revision=revision,
                force_download=again,
                tqdm_class=type("BarOfRepo", (Bar,), {"repo": repo}),
            )
        )
        if sha256 in (None, sha256_of(path)):
            return path
    for wrong in (path.resolve(), path):
        wrong.unlink(missing_ok=True)
    raise HubError(f"what came from {repo} was damaged twice; it was deleted, so try again")


class Bar(tqdm):
    """The bar in the terminal, which tells the page too, and ends what would never end."""

    repo: ClassVar[str]

    def __init__(self, *args: Any, **options: Any) -> None:
        self.arrived = 0.0
        super().__init__(*args, **options | {"desc": self.repo})  # type: ignore[no-untyped-call]
        _under_way[self.repo] = self

    def update(self, n: float | None = 1) -> bool | None:
        self.arrived += max(n or 0, 0)
        # The client begins again for as long as anything comes, were it for ever.
        if self.total and self.arrived > 3 * self.total:
            raise httpx2.ReadError("broken off again and again")
        shown: bool | None = super().update(n)
        return shown


def under_way(model: str) -> str:
    """What is being fetched of a model at this moment, in a sentence for people, or nothing."""
    parts = [
        f"{repo} ({min(bar.arrived / bar.total, 1):.0%} of {bar.total / 1e6:.0f} MB)"
        if bar and bar.total
        else repo
        for repo, bar in list(_under_way.items())
        if repo.endswith(f"/segdemo-{model}")
    ]
    return f"Weights are being fetched from the Hub: {', '.join(parts)}." if parts else ""


def sweep(repo: str) -> None:
    """Delete what downloads that were killed have left: the Hub's client never does."""
    blobs = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="model"), "blobs")
    for part in blobs.glob("*.incomplete"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def clause(error: Exception, repo: str, revision: str) -> str:
    """What went wrong, for people."""
    refused = errors.HfHubHTTPError  # some of these are ValueErrors too
    while error.__cause__ and isinstance(error, CARRIERS) and not isinstance(error, refused):
        error = error.__cause__  # type: ignore[assignment]
    match error:
        case errors.RevisionNotFoundError() | errors.RemoteEntryNotFoundError():
            return f"the Hub has no {FILE} in {repo} at {revision}"
        case errors.HfHubHTTPError():
            return refusal(error, repo)
        case errors.FileMetadataError():
            return f"what answers at {constants.ENDPOINT} is not the Hub"
        case errors.HFValidationError():
            return f"{repo} is no name of a repository on the Hub"
        case errors.OfflineModeIsEnabled() | httpx2.ConnectError():
            return f"the Hub cannot be reached for {repo} (is there a network?)"
        case httpx2.TimeoutException():
            return f"the Hub does not answer when asked for {repo}"
        case OSError(errno=int()):
            return f"{repo} cannot be stored in {constants.HF_HUB_CACHE}: {error.strerror}"
        case _:
            return f"the Hub broke off in the middle of {repo}"


def refusal(error: errors.HfHubHTTPError, repo: str) -> str:
    """What an answer of the Hub means that is none."""
    status, words = error.response.status_code, " ".join((error.server_message or "").split())
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is for those who asked for it on its page on the Hub, with HF_TOKEN set"
    if status == 401 and get_token():
        return f"the Hub refuses the token in HF_TOKEN for {repo}: it is expired or too weak"
    if status in (401, 404):
        return f"the Hub shows no {repo}: it is not there, or private and HF_TOKEN must be set"
    if status == 429 or status >= 500:
        return f"the Hub is in trouble (HTTP {status}) and gave no {repo}; try again later"
    return f"the Hub refuses {repo} (HTTP {status}): {words.rstrip('.') or 'it says no more'}"


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
