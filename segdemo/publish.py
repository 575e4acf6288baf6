"""Publishing: the weights become model repositories on the Hub, the project becomes a Space.

Each repository is compared with what it should hold, so that a second run changes nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    SpaceCard,
    SpaceHardware,
    errors,
    get_session,
    get_token,
)

from .hub import FILE, clause
from .registry import ModelSpec
from .weights import (
    PICTURES,
    WeightsError,
    card_path,
    find_weights,
    picture_path,
    read_facts,
    repo_name,
    weights_folder,
    write_facts,
)

ROOT = Path(__file__).resolve().parent.parent
HARDWARE = tuple(hardware.value for hardware in SpaceHardware)
ZERO_GPU = SpaceHardware.ZERO_A10G.value
SPACE = "segdemo"  # what the Space is called
SILENCE = 60  # seconds, after which the Hub is not waited for; its client would wait for ever

CommitOperation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete
Files = Mapping[str, Path | bytes]  # path in the repository -> a file here, or its content


class PublishError(RuntimeError):
    """A publication that is not possible; str(e) is one sentence."""


@dataclass(frozen=True)
class Change:
    """What a repository lacks to be as it should be.

    create: there is no such repository yet. add: paths that are new or different. delete: paths
    of the project that it no longer has. revision: the commit that the repository is at.
    """

    repo: str
    kind: str  # "model" or "space"
    files: Files
    create: bool
    add: tuple[str, ...]
    delete: tuple[str, ...]
    revision: str = ""

    @property
    def needed(self) -> bool:
        return bool(self.create or self.add or self.delete)

    def __str__(self) -> str:
        parts = [f"write {', '.join(self.add)}"] if self.add else []
        parts += [f"delete {', '.join(self.delete)}"] if self.delete else []
        done = "create" if self.create else "update"
        return f"{self.kind} {self.repo}: {done}, {', '.join(parts)}"


@dataclass(frozen=True)
class Settings:
    """What a Space has beside its files: the variable SEGDEMO_HUB_NAMESPACE, and its hardware."""

    namespace: str | None
    hardware: str

    def __str__(self) -> str:
        return f"SEGDEMO_HUB_NAMESPACE={self.namespace}, hardware {self.hardware}"


def publish(
    specs: Iterable[ModelSpec],
    namespace: str,
    *,
    space: bool = False,
    hardware: str | None = None,
    dry_run: bool = False,
) -> None:
    """Publish the weights of `specs` to `namespace`, and this project as a Space if asked for.

    Prints what will be done before it does it; with `dry_run` that is all. The commits of the
    weights are written into their facts. hardware: of the Space, one of HARDWARE; without it, as
    the Space has it, or the free CPU. Raises PublishError, WeightsError.
    """
    specs, api, repo = list(specs), HfApi(), namespace
    get_session().timeout = httpx2.Timeout(SILENCE)
    contents = [model_files(spec, f"{namespace}/{SPACE}" if space else "") for spec in specs]
    try:
        check_token(api, namespace)
        changes = []
        for spec, files in zip(specs, contents, strict=True):
            repo = repo_name(spec, namespace)
            changes.append(compare(api, repo, "model", files))
        # Where there will be another one, what names it changes too.
        revisions = {change.repo: "" if change.needed else change.revision for change in changes}
        plan = [str(change) for change in changes if change.needed]
        if space:
            repo = f"{namespace}/{SPACE}"
            has = settings(api, repo)
            wanted = Settings(namespace, hardware or has.hardware)
            page = compare(api, repo, "space", space_files(specs, revisions, wanted.hardware))
            plan += [str(page)] if page.needed else []
            plan += [f"space {repo}: set {wanted}"] if wanted != has else []
        print("\n".join(plan) or "All is published as it is; there is nothing to change.")
        if dry_run:
            return
        for spec, change in zip(specs, changes, strict=True):
            repo = change.repo
            revisions[repo] = apply(api, change)
            record(spec, repo, revisions[repo])
        if space:
            repo = f"{namespace}/{SPACE}"
            files = space_files(specs, revisions, wanted.hardware)
            # From its first moment: who does not pay may have ZeroGPU and nothing else.
            kind = {"space_sdk": "gradio", "space_hardware": SpaceHardware(wanted.hardware)}
            apply(api, compare(api, repo, "space", files), **kind)
            set_up(api, repo, has, wanted)
    except (PublishError, WeightsError):
        raise
    except (errors.HfHubHTTPError, ValueError, RuntimeError, httpx2.HTTPError) as error:
        why = clause(error, repo, "main")
        if isinstance(error, ValueError) and isinstance(error.__cause__, errors.BadRequestError):
            why = f"{repo}: {' '.join(str(error).split())}"  # the Hub's words on its card
        raise PublishError(f"Nothing more was published: {why}.") from error
    if plan:
        print("Published.")


def check_token(api: HfApi, namespace: str) -> None:
    """Whether there is a token, and it may write there. Raises PublishError."""
    if not get_token():
        raise PublishError("Set HF_TOKEN to a token of the Hub that may write.")
    try:
        user = api.whoami()
    except errors.HfHubHTTPError as error:
        if error.response.status_code != 401:
            raise
        raise PublishError(
            "The Hub does not accept HF_TOKEN: it is mistyped or has expired."
        ) from error
    names = [user["name"], *(group["name"] for group in user.get("orgs", []))]
    if namespace not in names:
        raise PublishError(f"HF_TOKEN may write to {', '.join(names)}, not to {namespace}.")


def model_files(spec: ModelSpec, space: str) -> Files:
    """What the repository of a model holds. Raises PublishError, WeightsError."""
    facts, card = read_facts(spec), card_path(spec)
    if not card.is_file():
        raise PublishError(f"{spec.name} has no card: python -m segdemo card {spec.name}")
    # Not where they are published: that is known only afterwards.
    config = {key: value for key, value in facts.items() if key != "hub"}
    return {
        FILE: find_weights(spec),
        "config.json": facts_text(config),
        "README.md": (card.read_text("utf-8") + how_to_use(spec, space)).encode(),
        **{path.name: path for path in pictures(spec)},
    }


def how_to_use(spec: ModelSpec, space: str) -> str:
    """What a card says to those who find it on the Hub. space: its name, if there is one."""
    package = "These are weights for the package segdemo."
    page = f"The Space `{space}` is the page that shows it, and the package that it belongs to."
    return f"""
## How to use it

{page if space else package} In a
clone of that, set up as it says there:

```
python -m segdemo predict photo.jpg --model {spec.name} --out answers
```
"""


def pictures(spec: ModelSpec) -> list[Path]:
    """Those that the card shows."""
    paths = [picture_path(spec, name) for name in PICTURES]
    return [path for path in paths if path.is_file()]


def space_files(specs: Iterable[ModelSpec], revisions: Mapping[str, str], hardware: str) -> Files:
    """What the Space holds: this project without tests and weights, fitted to its hardware."""
    files: dict[str, Path | bytes] = {name: ROOT / name for name in ("app.py", "LICENSE")}
    for path in sorted((ROOT / "segdemo").rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
        if path.is_file() and not hidden and path.suffix not in (".pyc", ".pyi"):
            files[path.relative_to(ROOT).as_posix()] = path
    for spec, (repo, revision) in zip(specs, revisions.items(), strict=True):
        place = {"hub": {"repo": repo, "revision": revision}}
        files[f"weights/{spec.name}.json"] = facts_text(read_facts(spec) | place)
        for path in (card_path(spec), *pictures(spec)):
            files[f"weights/{path.name}"] = path
    wanted = (ROOT / "requirements.txt").read_text("utf-8")
    files["requirements.txt"] = requirements(wanted, hardware).encode()
    files["README.md"] = front_page(revisions, hardware).encode()
    return files


def facts_text(facts: Mapping[str, object]) -> bytes:
    return json.dumps(facts, indent=1).encode() + b"\n"


def requirements(wanted: str, hardware: str) -> str:
    """requirements.txt for that hardware: only ZeroGPU wants something of its own."""
    if hardware != ZERO_GPU:
        return wanted
    return re.sub(r"^torch>=([\d.]+)$", r"spaces\ntorch>=\1,<2.14", wanted, flags=re.MULTILINE)


def front_page(revisions: Mapping[str, str], hardware: str) -> str:
    """README.md with the front matter of this Space: what to fetch while it is built."""
    card = SpaceCard((ROOT / "README.md").read_text("utf-8"))
    card.data["suggested_hardware"] = hardware
    card.data["models"] = list(revisions)
    card.data["preload_from_hub"] = [
        f"{repo} {FILE} {revision}" for repo, revision in revisions.items()
    ]
    return str(card)


def compare(api: HfApi, repo: str, kind: str, files: Files) -> Change:
    """What has to be done so that `repo` holds `files`."""
    try:
        ask = api.space_info if kind == "space" else api.model_info
        info = ask(repo, files_metadata=True)
    except errors.RepositoryNotFoundError:
        return Change(repo, kind, files, True, tuple(files), ())
    held = {
        file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id
        for file in info.siblings or []
    }
    add = tuple(path for path, file in files.items() if held.get(path) not in hashes(file))
    ours = ("segdemo/", "weights/")
    delete = tuple(path for path in held if path.startswith(ours) and path not in files)
    return Change(repo, kind, files, False, add, delete, info.sha or "")


def hashes(file: Path | bytes) -> tuple[str, str]:
    """What the Hub may call that content: git's name for it, and that of large files."""
    content = file if isinstance(file, bytes) else file.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return git, hashlib.sha256(content).hexdigest()


def apply(api: HfApi, change: Change, **kind: Any) -> str:
    """Make the change; the commit that the repository is at afterwards. kind: of a new one."""
    if change.create:
        api.create_repo(change.repo, repo_type=change.kind, exist_ok=True, **kind)
    operations: list[CommitOperation] = [
        *(CommitOperationAdd(path, change.files[path]) for path in change.add),
        *(CommitOperationDelete(path) for path in change.delete),
    ]
    if not operations:
        return change.revision
    return api.create_commit(
        change.repo, operations, commit_message="Publish segdemo", repo_type=change.kind
    ).oid


def record(spec: ModelSpec, repo: str, revision: str) -> None:
    """Write into the facts where the weights are published."""
    facts, place = read_facts(spec), {"repo": repo, "revision": revision}
    if facts.get("hub") != place:
        write_facts(weights_folder(), spec, facts | {"hub": place})


def settings(api: HfApi, repo: str) -> Settings:
    """How the Space is set up; without a variable on cpu-basic, where it is not there yet."""
    try:
        variable = api.get_space_variables(repo).get("SEGDEMO_HUB_NAMESPACE")
        hardware = api.get_space_runtime(repo).requested_hardware
    except errors.RepositoryNotFoundError:
        variable = hardware = None
    return Settings(
        variable.value if variable else None, str(hardware or SpaceHardware.CPU_BASIC.value)
    )


def set_up(api: HfApi, repo: str, has: Settings, wanted: Settings) -> None:
    if wanted.namespace and wanted.namespace != has.namespace:
        api.add_space_variable(repo, "SEGDEMO_HUB_NAMESPACE", wanted.namespace)
    if wanted.hardware != has.hardware:
        api.request_space_hardware(repo, SpaceHardware(wanted.hardware))
