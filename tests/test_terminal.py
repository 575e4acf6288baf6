"""The commands, run as a person runs them; and that they never end in a traceback."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import EXAMPLES, MakeFolder, scene
from PIL import Image

import segdemo
from segdemo import __main__ as terminal
from segdemo.__main__ import main
from segdemo.bench import as_text, processes, rows
from segdemo.images import FORMATS_TEXT
from segdemo.registry import MODELS
from segdemo.weights import FOLDER

ROOT = Path(__file__).parent.parent
PICTURE = sorted((EXAMPLES / "test" / "images").glob("*.webp"))[0]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "segdemo", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_models_lists_them_all() -> None:
    done = run("models")
    assert done.returncode == 0
    for spec in MODELS.values():
        assert spec.name in done.stdout and spec.finds in done.stdout


def test_predict_writes_overlay_mask_and_report(tmp_path: Path) -> None:
    second = tmp_path / "a photo's näme.png"
    Image.fromarray(scene(1)).save(second)
    done = run("predict", PICTURE, second, "--model", "fcn", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 2
    for photo in (PICTURE, second):
        result = segdemo.segment(photo, "fcn")
        height, width = result.labels.shape
        report = json.loads((tmp_path / "out" / f"{photo.stem}.json").read_text())
        assert report["model"] == "fcn" and report["size"] == [width, height]
        assert report["coverage"] == {
            name: pytest.approx(100 * part, abs=0.006)
            for name, part in result.coverage.items()
            if part
        }
        assert {"read", "network", "mask", "overlay"} <= set(report["milliseconds"])
        mask = Image.open(tmp_path / "out" / f"{photo.stem}.mask.png")
        assert np.array_equal(np.asarray(mask), result.labels)
        assert Image.open(tmp_path / "out" / f"{photo.stem}.overlay.webp").size == (width, height)


def test_predict_goes_on_after_a_bad_photo(tmp_path: Path) -> None:
    bad = [tmp_path / "text.jpg", tmp_path / "empty.jpg"]
    bad[0].write_text("This is no picture.")
    bad[1].write_bytes(b"")
    done = run("predict", bad[0], PICTURE, bad[1], "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stdout.startswith(f"{PICTURE}: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("segdemo: ") and all(
        f"{path}: This" in done.stderr for path in bad
    )
    assert (tmp_path / "out" / f"{PICTURE.stem}.mask.png").is_file()


def test_predict_counts_from_the_threshold_on(tmp_path: Path) -> None:
    chair = PICTURE.parent / "chair-dining.webp"
    command = ["predict", str(chair), "--threshold", "0.9", "--out", str(tmp_path)]
    assert main(command) == 0
    mask = np.asarray(Image.open(tmp_path / f"{chair.stem}.mask.png"))
    strict, usual = segdemo.segment(chair, threshold=0.9), segdemo.segment(chair)
    assert np.array_equal(mask, strict.labels)
    assert not np.array_equal(mask, usual.labels)


def test_evaluate_records_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "weights"
    shutil.copytree(FOLDER, copied)
    facts = copied / "fcn.json"
    changed = json.loads(facts.read_text())
    changed["figures"] = {"other/test": {}}
    facts.write_text(json.dumps(changed))
    monkeypatch.setenv("SEGDEMO_WEIGHTS", str(copied))
    assert main(["evaluate", "fcn", "--data", str(EXAMPLES), "--record"]) == 0
    figures = json.loads(facts.read_text())["figures"]
    assert set(figures) == {"other/test", "examples/test"}
    assert figures["examples/test"]["photos"] == len(list(PICTURE.parent.iterdir()))


def test_evaluate_prints_json_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "fcn", "--data", str(EXAMPLES), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["examples/test"]["photos"] == len(list(PICTURE.parent.iterdir()))
    assert main(["evaluate", "fcn", "--data", str(EXAMPLES)]) == 0
    assert f"{scores['examples/test']['iou']:.4f}" in capsys.readouterr().out


def test_train_takes_the_fields_of_a_recipe(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "known-as").symlink_to(make_folder("more"))
    untrained = make_folder("only-tested", splits=["test"])
    command = f"train chair-unet --data {make_folder()} --data {tmp_path / 'known-as'}"
    command += f" --data {untrained}"
    command += f" --out {tmp_path / 'out'} --steps 2 --batch 2 --sizes 32,48 --checks 1"
    command += " --architecture encoder=plain,base=4,up=transpose --seed 3"
    assert main(command.split()) == 0
    facts = json.loads((tmp_path / "out" / "chair-unet.json").read_text())
    assert facts["architecture"] == {"encoder": "plain", "base": 4, "up": "transpose"}
    assert facts["recipe"]["sizes"] == [32, 48] and facts["recipe"]["seed"] == 3
    assert facts["data"] == ["made", "known-as"]
    assert set(facts["figures"]) >= {"made/test", "known-as/test", "only-tested/test"}
    assert "made/test" in capsys.readouterr().out


def test_bench_measures_each_thing_beside_another_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "TURNS", 1)
    monkeypatch.setattr(rows, "RUNS", 1)
    monkeypatch.setattr(processes, "STARTS", 1)
    assert main(["bench", "fcn", "--json", "--chart", str(tmp_path / "chart.svg")]) == 0
    measured = json.loads(capsys.readouterr().out)
    found = {row["what"]: row for row in measured["rows"]}
    assert {row["model"] for row in measured["rows"]} == {"fcn", ""}
    for what in (
        "the network alone",
        "pixels to labels, 640x480",
        "12-megapixel JPEG to overlay and mask",
        "a live frame of 640x480, on the server",
        "a photo of 640x480 over HTTP, to files",
        "python app.py to the first page",
    ):
        assert found[what]["ours"] > 0 and min(found[what]["others"].values()) > 0
    drawn = ElementTree.parse(tmp_path / "chart.svg").getroot()
    bars = sum(1 + len(row["others"]) for row in measured["rows"])
    assert len(drawn.findall("{*}rect")) == 1 + bars
    assert "the network alone, fcn" in as_text(measured)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "dance",
        "predict",
        "predict {photo} --model nothing --out {out}",
        "predict nowhere.jpg --out {out}",
        "predict {text} --out {out}",
        "predict {photo} --out {photo}/out",
        "predict {photo} --out {out} --threshold 2",
        "evaluate fcn --data nowhere",
        "evaluate fcn --data {examples} --split val",
        "evaluate nothing --data {examples}",
        "choose fcn --data {examples}",
        "choose fcn --data {made} --sures 0.4",
        "choose fcn --data {made} --input-sizes 0",
        "card nothing",
        "train fcn --data {examples} --out {out} --shares 2,x",
        "train fcn --data {examples} --out {out} --shares 0,0",
        "train chair-unet --data {made} --out {out} --shares 2,1",
        "evaluate chair-unet --data {examples} --split sideways",
        "train chair-unet --data nowhere --out {out}",
        "train chair-unet --data {examples} --out {out}",
        "train nothing --data {examples} --out {out}",
        "train chair-unet --data {made} --out {out} --device toaster",
        "train chair-unet --data {made} --out {out} --architecture encoder=plain --freeze-encoder",
        "train chair-unet --data {made} --out {out} --teacher nobody",
        "train chair-unet --data {made} --out {out} --checks 0",
        "train chair-unet --data {made} --out {out} --lr nan",
        "train chair-unet --data {made} --out {out} --lr -1",
        "train chair-unet --data {made} --out /proc/self/task",
        "train chair-unet --data {made} --out {out} --sizes 32,0",
        "train chair-unet --data {made} --out {out} --workers -1",
        "train chair-unet --data {made} --out {out} --seed 20261128213000",
        "train chair-unet --data {made} --out {out} --batch 1 --sizes 32",
        "train chair-unet --data {broken} --out {out} --steps 1 --sizes 32",
        "evaluate chair-unet --data {broken}",
        "predict {photo} {photo} --out {out}",
        "train chair-unet --data {examples} --out {out} --architecture base",
        "train chair-unet --data {examples} --out {out} --steps many",
        "bench nothing",
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(
    arguments: str,
    tmp_path: Path,
    make_folder: MakeFolder,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = make_folder("broken", photos=2)
    for photo in broken.glob("*/images/*"):
        photo.write_bytes(b"")
    (tmp_path / "text.png").write_text("This is no picture.")
    places = {
        "photo": PICTURE,
        "text": tmp_path / "text.png",
        "out": tmp_path / "out",
        "examples": EXAMPLES,
        "made": make_folder("good", photos=2),
        "broken": broken,
    }
    try:
        status = main([part.format(**places) for part in arguments.split()])
    except SystemExit as left:
        status = left.code
    assert status == 2
    told = capfd.readouterr().err
    assert told.startswith("segdemo: ") and told.count("\n") == 1, told
    assert not re.match(r"segdemo: [A-Z]\w*(Error|Exception): ", told), told  # not foreseen


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x1b[2J.jpg", b"\xff.jpg"])
def test_a_name_breaks_no_line(name: str | bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "segdemo", "predict", name, "--out", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "\x1b" not in done.stderr
    assert "There is no such file" in done.stderr


def test_nothing_is_made_for_a_model_that_is_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(PICTURE), "--model", "nope", "--out", str(out)]) == 2
    assert not out.exists()


def test_what_fails_is_one_line_where_there_is_no_output_too() -> None:
    command = f"{sys.executable} -m segdemo predict {PICTURE} --out /proc/nope >&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_mistyped_option_is_answered_before_torch_is_imported() -> None:
    done = run("train", "fcn", "--stepps", 3, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2 and "segdemo" in done.stderr
    assert not re.search(r"\| *torch$", done.stderr, re.MULTILINE)


def test_a_damaged_package_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: no such file')")
    done = run("models", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "libtorch" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("start", [["-m", "segdemo", "models"], ["app.py"]])
def test_what_is_not_installed_is_one_line_too(start: list[str]) -> None:
    bare = [sys.executable, "-S", *start]  # without what pip has installed
    done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is not installed" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("models", "segdemo: No space left on device\n"),
        (
            "predict {photo} {text} --out {out}",
            "segdemo: {text}: This is a text file, not a picture: "
            f"choose a {FORMATS_TEXT} photo.\n",
        ),
    ],
)
def test_a_full_disk_is_one_line_too(arguments: str, says: str, tmp_path: Path) -> None:
    """Of lines that are held back until Python ends, too, as they are where no screen is."""
    held_back = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    (tmp_path / "text.jpg").write_text("This is no picture.")
    places = {"photo": PICTURE, "text": tmp_path / "text.jpg", "out": tmp_path}
    command = [sys.executable, "-m", "segdemo", *arguments.format(**places).split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=ROOT, env=held_back, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == says.format(**places)


def test_a_photo_with_an_odd_name_is_one_line_and_one_with_a_long_name_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, long = tmp_path / "a\x1b[2J\nb.webp", tmp_path / f"{'l' * 250}.webp"
    for path in (long, odd):
        shutil.copy(PICTURE, path)
    assert main(["predict", str(long), str(odd), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert told.out.count("\n") == 1 and "\x1b" not in told.out and "a\\x1b[2J\\nb.webp" in told.out
    assert "Its name is too long" in told.err and told.err.count("\n") == 1


def test_remarks_on_damaged_photos_are_kept_from_people(tmp_path: Path) -> None:
    Image.open(PICTURE).save(tmp_path / "cut.tiff", compression="tiff_lzw")
    with (tmp_path / "cut.tiff").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 20)  # its list of tags is at its end
    damaged = run("predict", tmp_path / "cut.tiff", "--out", tmp_path)
    assert damaged.returncode == 2 and damaged.stderr.count("\n") == 1, damaged.stderr
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0"  # five tags, of which half a one is there
    Image.open(PICTURE).save(tmp_path / "photo.jpg", exif=exif)
    good = run("predict", tmp_path / "photo.jpg", "--out", tmp_path)
    assert good.returncode == 0 and good.stderr == ""


def test_a_command_is_stopped_while_it_is_still_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal, "run", stop)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "segdemo: stopped\n"


def test_what_nobody_foresaw_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("by nothing\nat all")

    monkeypatch.setattr(terminal, "run_models", fail)
    assert main(["models"]) == 2
    assert capsys.readouterr().err == "segdemo: ZeroDivisionError: by nothing\n"


def test_missing_weights_are_one_line_too(tmp_path: Path) -> None:
    done = run("predict", PICTURE, "--out", tmp_path, SEGDEMO_WEIGHTS=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("segdemo: There are no weights for chair-unet")
    assert done.stderr.count("\n") == 1
