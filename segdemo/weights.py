"""A ModelSpec becomes a verified local file of weights, and the facts that belong to it."""

import json
import os
from pathlib import Path
from typing import Any

from .files import write_whole
from .hub import HubError, cached, fetch, sha256_of
from .registry import ModelSpec

Facts = dict[str, Any]  # what training and scoring wrote down beside the weights

PICTURES = ("examples", "curve")  # of a card

FOLDER = Path(__file__).resolve().parent.parent / "weights"


class WeightsError(RuntimeError):
    """Weights that are missing or not the ones they should be; str(e) is one sentence."""


def weights_folder() -> Path:
    """Where the weights lie: the project's `weights/`, or SEGDEMO_WEIGHTS, for your own."""
    return Path(os.environ.get("SEGDEMO_WEIGHTS") or FOLDER)


def read_facts(spec: ModelSpec, folder: Path | None = None) -> Facts:
    """What was written down when the weights were trained and scored. Raises WeightsError."""
    path = (folder or weights_folder()) / f"{spec.name}.json"
    try:
        facts: Facts = dict(json.loads(path.read_text("utf-8")))
        place = facts.get("hub") or {}
        if not all(isinstance(place.get(key, ""), str) for key in ("repo", "revision")):
            raise TypeError("hub")
    except FileNotFoundError as error:
        raise WeightsError(
            f"There are no weights for {spec.name} in {path.parent}, not even their facts; set "
            "SEGDEMO_WEIGHTS to the folder weights/ of a clone of this project, or train them "
            f"with: python -m segdemo train {spec.name} --data DIR --out {path.parent}"
        ) from error
    except (OSError, AttributeError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(f"The facts {path} cannot be read.") from error
    return facts


def write_facts(folder: Path, spec: ModelSpec, facts: Facts) -> None:
    write_whole(folder / f"{spec.name}.json", f"{json.dumps(facts, indent=1)}\n".encode())


def card_path(spec: ModelSpec) -> Path:
    """Where the card is, if there is one: what people read of a model."""
    return weights_folder() / f"{spec.name}.md"


def picture_path(spec: ModelSpec, name: str) -> Path:
    """Where the card's picture of that name, one of PICTURES, is."""
    return weights_folder() / f"{spec.name}.{name}.webp"


def find_weights(spec: ModelSpec, folder: Path | None = None) -> Path:
    """The .safetensors of `spec`: of `weights/`, else of the Hub's cache, else of the Hub.

    Each is checked against the sha256 in the facts. Raises WeightsError.
    """
    facts = read_facts(spec, folder)
    path, place = local_weights(spec, folder), hub_place(spec, facts)
    if path:
        return path
    missing = what_is_missing((folder or weights_folder()) / f"{spec.name}.safetensors")
    if place is None:
        raise WeightsError(
            f"{missing}; put them there, or set SEGDEMO_HUB_NAMESPACE to whose on the Hub to fetch."
        )
    try:
        return fetch(*place, facts.get("sha256"))
    except HubError as error:
        raise WeightsError(f"{missing}, and {error}.") from error


def local_weights(spec: ModelSpec, folder: Path | None = None) -> Path | None:
    """The .safetensors of `spec` if the right one is on this machine. Raises WeightsError."""
    facts = read_facts(spec, folder)
    path, place = (folder or weights_folder()) / f"{spec.name}.safetensors", hub_place(spec, facts)
    try:
        if path.is_file() and sha256_of(path) == facts.get("sha256"):
            return path
        return cached(*place, facts.get("sha256")) if place else None
    except OSError as error:
        raise WeightsError(f"The weights {error.filename or path} cannot be read.") from error


def hub_place(spec: ModelSpec, facts: Facts) -> tuple[str, str] | None:
    """Repository and revision of the weights on the Hub, if it is known.

    The facts name them once they are published; SEGDEMO_HUB_NAMESPACE means somebody else's.
    """
    published = facts.get("hub") or {}
    namespace = os.environ.get("SEGDEMO_HUB_NAMESPACE")
    repo = repo_name(spec, namespace) if namespace else published.get("repo")
    if repo is None:
        return None
    return repo, published.get("revision", "main") if repo == published.get("repo") else "main"


def repo_name(spec: ModelSpec, namespace: str) -> str:
    return f"{namespace}/segdemo-{spec.name}"


def what_is_missing(path: Path) -> str:
    if path.is_file():
        return f"The weights {path} are not those that their facts describe"
    return f"The weights {path} are missing"


def whereabouts(spec: ModelSpec) -> str:
    """Where the weights are, for people: a path, a place on the Hub, or why they are nowhere."""
    try:
        path, place = local_weights(spec), hub_place(spec, read_facts(spec))
    except WeightsError as error:
        return str(error)
    if path:
        return str(path)
    if place:
        return f"{place[0]} on the Hub at {place[1]}, fetched when first needed"
    return f"{what_is_missing(weights_folder() / f'{spec.name}.safetensors')}."
