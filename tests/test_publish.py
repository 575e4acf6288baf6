"""Publishing to the local Hub with the real client, and serving from what was published."""

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import CHAIR, HUB_HOME, served
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hub_server import Hub
from huggingface_hub import ModelCard, SpaceCard
from PIL import Image
from visitor import ROOT

import segdemo
from segdemo.__main__ import main
from segdemo.hub import sha256_of
from segdemo.publish import space_files
from segdemo.registry import MODELS
from segdemo.weights import FOLDER, find_weights, read_facts

REPOS = [f"someone/segdemo-{name}" for name in MODELS]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the weights, in which publishing may write, and a token."""
    folder = tmp_path / "weights"
    shutil.copytree(FOLDER, folder)
    for spec in MODELS.values():
        (folder / f"{spec.name}.json").write_text(
            json.dumps({k: v for k, v in read_facts(spec, folder).items() if k != "hub"})
        )
    monkeypatch.setenv("SEGDEMO_WEIGHTS", str(folder))
    monkeypatch.setenv("HF_TOKEN", "good-token")
    return folder


def publish(*options: str) -> int:
    return main(["publish", "--namespace", "someone", *options])


def test_publish_and_publish_again(hub: Hub, mine: Path, capsys) -> None:
    assert publish("--space", "--dry-run") == 0
    planned = capsys.readouterr().out
    for repo in REPOS:
        assert f"model {repo}: create, write model.safetensors, config.json, README.md" in planned
    assert "space someone/segdemo: create, write app.py" in planned
    assert not hub.repos and not hub.changes()

    assert publish("--space") == 0
    done = capsys.readouterr().out
    assert done.startswith(planned) and done.endswith("Published.\n")
    for name, repo in zip(MODELS, REPOS, strict=True):
        revision, files = hub.repos["model", repo].commits[-1]
        assert files["model.safetensors"] == (FOLDER / f"{name}.safetensors").read_bytes()
        assert json.loads(files["config.json"])["sha256"] == read_facts(MODELS[name])["sha256"]
        card = ModelCard(files["README.md"].decode())
        assert {result.dataset_name for result in card.data.eval_results} >= {"examples"}
        assert set(re.findall(r"!\[.+?\]\((.+?)\)", card.text)) <= set(files)
        assert "someone/segdemo" in card.text
        assert read_facts(MODELS[name])["hub"] == {"repo": repo, "revision": revision}

    hub.asked.clear()
    facts = [(mine / f"{name}.json").read_bytes() for name in MODELS]
    assert publish("--space") == 0
    told = capsys.readouterr().out
    assert told == "All is published as it is; there is nothing to change.\n"
    assert not hub.changes()
    assert facts == [(mine / f"{name}.json").read_bytes() for name in MODELS]


def test_the_space_is_this_project_without_its_weights(hub: Hub, mine: Path) -> None:
    assert publish("--space", "--hardware", "zero-a10g") == 0
    space = hub.repos["space", "someone/segdemo"]
    files = space.commits[-1][1]
    assert {"app.py", "LICENSE", "segdemo/engine.py", "segdemo/ui/style.css"} <= set(files)
    assert not [path for path in files if path.endswith((".safetensors", ".pyc", ".pyi"))]
    assert sum(map(len, files.values())) < 5_000_000
    assert space.variables == {"SEGDEMO_HUB_NAMESPACE": "someone"}
    assert space.hardware == "zero-a10g"
    front = SpaceCard(files["README.md"].decode()).data
    assert front["models"] == REPOS
    assert front["python_version"] == "3.12" and front["app_file"] == "app.py"
    for line, repo in zip(front["preload_from_hub"], REPOS, strict=True):
        assert line == f"{repo} model.safetensors {hub.repos['model', repo].commits[-1][0]}"
    wanted = files["requirements.txt"].decode().split()
    assert "spaces" in wanted and "torch>=2.13,<2.14" in wanted
    # Facts and cards go along, so the weights can be fetched and checked there.
    for spec in MODELS.values():
        facts = json.loads(files[f"weights/{spec.name}.json"])
        assert facts["hub"] == read_facts(spec)["hub"]
        assert f"weights/{spec.name}.examples.webp" in files

    # Another run keeps the hardware; another hardware is another requirements.txt.
    assert publish("--space") == 0
    assert space.hardware == "zero-a10g"
    assert publish("--space", "--hardware", "cpu-basic") == 0
    assert space.hardware == "cpu-basic"
    assert "spaces" not in space.commits[-1][1]["requirements.txt"].decode().split()


def test_a_space_of_somebody_who_does_not_pay(hub: Hub, mine: Path, capsys) -> None:
    hub.pays = False
    assert publish("--space", "--hardware", "zero-a10g") == 0
    assert hub.repos["space", "someone/segdemo"].hardware == "zero-a10g"
    del hub.repos["space", "someone/segdemo"]
    capsys.readouterr()
    assert publish("--space") == 2
    told = capsys.readouterr().err
    assert "refuses someone/segdemo (HTTP 402): Subscribe to PRO to create a Space" in told


def test_hidden_files_are_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("app.py", "LICENSE", "README.md", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("engine.py", ".env", ".ipynb_checkpoints/engine.py"):
        path = tmp_path / "segdemo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("TOKEN = 'secret'")
    monkeypatch.setattr("segdemo.publish.ROOT", tmp_path)
    files = space_files([], {}, "cpu-basic")
    assert [path for path in files if path.startswith("segdemo/")] == ["segdemo/engine.py"]


def test_only_what_changed_is_published(hub: Hub, mine: Path, capsys) -> None:
    assert publish("--space") == 0
    before = read_facts(MODELS["fcn"])["hub"]["revision"]
    space = hub.repos["space", "someone/segdemo"]
    space.commits.append(("c" * 40, space.commits[-1][1] | {"segdemo/removed.py": b"old"}))
    with (mine / "fcn.md").open("a") as card:
        card.write("\nOne more sentence.\n")
    hub.asked.clear()
    capsys.readouterr()
    assert publish("--space", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "model someone/segdemo-fcn: update, write README.md",
        "space someone/segdemo: update, write weights/fcn.json, weights/fcn.md, README.md, "
        "delete segdemo/removed.py",
    ]
    held = space.commits[-1][1]
    assert publish("--space") == 0
    files = space.commits[-1][1]
    wrote = {path for path in files if files[path] != held.get(path)}
    assert wrote == {"weights/fcn.json", "weights/fcn.md", "README.md"}
    assert not [line for line in hub.asked if line.startswith("PUT")]  # no weights again
    now = read_facts(MODELS["fcn"])["hub"]["revision"]
    assert now == hub.repos["model", "someone/segdemo-fcn"].commits[-1][0] != before
    assert "segdemo/removed.py" not in space.commits[-1][1]


@pytest.mark.parametrize(
    ("token", "namespace", "says"),
    [
        ("", "someone", "Set HF_TOKEN"),
        ("expired", "someone", "does not accept HF_TOKEN"),
        ("good-token", "else", "HF_TOKEN may write to someone, not to else"),
    ],
)
def test_a_token_that_will_not_do(
    hub: Hub, mine: Path, capsys, monkeypatch, token: str, namespace: str, says: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert main(["publish", "--namespace", namespace]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1
    assert not hub.changes()


def test_what_the_hub_says_of_a_card_is_told(hub: Hub, mine: Path, capsys) -> None:
    card = mine / "fcn.md"
    card.write_text(re.sub("license: .*", "license: licence-of-nobody", card.read_text("utf-8")))
    assert publish() == 2
    told = capsys.readouterr().err
    assert told.splitlines()[-1].startswith(
        "segdemo: Nothing more was published: someone/segdemo-fcn"
    )
    assert told.endswith("README.md. - no such licence.\n") and "Traceback" not in told


def test_what_cannot_be_published_is_said(hub: Hub, mine: Path, capsys, monkeypatch) -> None:
    assert publish("--hardware", "cray") == 2
    assert "no such hardware" in capsys.readouterr().err
    assert publish("--hardware", "t4-small") == 2
    assert "--space" in capsys.readouterr().err
    hub.fault = 503
    assert publish() == 2
    assert "the Hub is in trouble (HTTP 503)" in capsys.readouterr().err
    hub.fault = "silent"
    monkeypatch.setattr("segdemo.publish.SILENCE", 0.5)
    assert publish() == 2
    assert "the Hub does not answer" in capsys.readouterr().err
    hub.stop()
    assert publish() == 2
    assert "the Hub cannot be reached" in capsys.readouterr().err
    (mine / "fcn.md").unlink()
    assert publish() == 2
    assert "fcn has no card" in capsys.readouterr().err


def once_fetched(client: Client) -> str:
    """The mask of CHAIR. The server, which gets ready, may be fetching the weights itself."""
    for _ in range(60):
        try:
            return str(client.predict(handle_file(CHAIR), "fcn", api_name="/segment")[1])
        except AppError as told:
            assert "being fetched" in str(told)
            time.sleep(1)
    pytest.fail("the weights are still being fetched")


def test_the_page_runs_on_what_was_published(hub: Hub, mine: Path, tmp_path: Path) -> None:
    assert publish() == 0
    expected = segdemo.segment(CHAIR, "fcn").labels
    for weights in mine.glob("*.safetensors"):
        weights.unlink()
    hub.asked.clear()
    with served(HF_TOKEN="") as address:
        client = Client(address, download_files=str(tmp_path / "files"), verbose=False)
        mask = once_fetched(client)
        assert np.array_equal(np.asarray(Image.open(mask)), expected)
    fetched = find_weights(MODELS["fcn"])
    assert fetched.is_relative_to(HUB_HOME) and hub.downloads()
    assert sha256_of(fetched) == read_facts(MODELS["fcn"])["sha256"]
