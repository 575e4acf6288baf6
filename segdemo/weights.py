"""A ModelSpec becomes a verified local file of weights, and the facts that belong to it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .registry import ModelSpec

Facts = dict[str, Any]  # what training and scoring wrote down beside the weights

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
    except FileNotFoundError as error:
        raise WeightsError(
            f"There are no weights for {spec.name} in {path.parent}; train them with: "
            f"python -m segdemo train {spec.name} --data DIR --out {path.parent}"
        ) from error
    except (OSError, TypeError, ValueError) as error:
        raise WeightsError(f"The facts {path} cannot be read.") from error
    return facts


def write_facts(folder: Path, spec: ModelSpec, facts: Facts) -> None:
    path = folder / f"{spec.name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def find_weights(spec: ModelSpec, folder: Path | None = None) -> Path:
    """The .safetensors of `spec`, checked against the sha256 in its facts. Raises WeightsError."""
    facts = read_facts(spec, folder)
    path = (folder or weights_folder()) / f"{spec.name}.safetensors"
    if not path.is_file():
        raise WeightsError(f"The weights {path} are missing.")
    if sha256_of(path) != facts.get("sha256"):
        raise WeightsError(f"The weights {path} are not those that their facts describe.")
    return path


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
