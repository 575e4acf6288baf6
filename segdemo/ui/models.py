"""The models as the page presents them: where the weights come from, how they learnt, the card."""

import re
from typing import Any

from ..errors import sentence
from ..registry import ModelSpec, find_model
from ..weights import (
    Facts,
    WeightsError,
    card_path,
    hub_place,
    local_weights,
    read_facts,
    weights_folder,
)
from .replies import as_it_is


def present(model: str) -> tuple[dict[str, Any], str]:
    """What model.js shows of a model's facts, and its card as Markdown."""
    try:
        spec = find_model(model)
        return described(spec, read_facts(spec)), card(spec)
    except Exception as error:  # facts that a person wrote may lack anything
        return {"error": sentence(error)}, ""


def described(spec: ModelSpec, facts: Facts) -> dict[str, Any]:
    """The facts in rows, and the curve. Raises WeightsError, KeyError."""
    rows = {
        "fact_source": source(spec, facts),
        "fact_size": ["megabytes", {"size": facts["bytes"] / 1e6}],
        "fact_parameters": ["millions", {"count": facts["parameters"] / 1e6}],
        "fact_input": ["pixels", {"size": facts["input"]["size"]}],
        "fact_data": as_it_is(", ".join(facts["data"])),
        "fact_trained": ["trained", {"minutes": facts["minutes"], "date": facts["date"]}],
        "fact_licence": as_it_is(facts["licence"]),
        "fact_sha256": facts["sha256"],
    }
    return {"title": spec.title, "rows": list(rows.items()), "curve": facts["curve"]}


def source(spec: ModelSpec, facts: Facts) -> Any:
    """Where the weights that are used come from. Raises WeightsError."""
    path, place = local_weights(spec), hub_place(spec, facts)
    if place and (path is None or path.parent != weights_folder()):
        return ["from_hub", dict(zip(("repo", "revision"), place, strict=True))]
    if path is None:
        raise WeightsError(f"There are no weights for {spec.name}.")
    return "from_here"


def card(spec: ModelSpec) -> str:
    """The card without its front matter, title, and pictures, which the page does not serve."""
    path = card_path(spec)
    if not path.is_file():  # weights that a visitor of this code has trained have none yet
        return ""
    text = path.read_text("utf-8").split("---\n", 2)[-1].strip()
    return re.sub(r"<!--.*?-->|!\[.*?\]\(.*?\)", "", text.partition("\n")[2], flags=re.DOTALL)
