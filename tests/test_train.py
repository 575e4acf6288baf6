"""Training: it learns, it goes on where it stopped, and it says what it cannot do."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import MakeFolder
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import tv_tensors as tv

from segdemo.augment import ResizedCrop, Words, augmentation, paste
from segdemo.auxiliary import Auxiliary
from segdemo.data import IGNORE, DataError, open_folders
from segdemo.engine import example_photo, load_network
from segdemo.evaluate import score
from segdemo.hints import Hints
from segdemo.networks.efficientnet_lite import IN_TIMM
from segdemo.networks.unet_vgg16 import UNetVGG16
from segdemo.recipe import Recipe
from segdemo.registry import MODELS
from segdemo.sampling import Draw, Samples
from segdemo.train import (
    TrainError,
    as_input,
    build,
    crop_size,
    follow,
    halved,
    parameter_groups,
    schedule,
    segmentation_loss,
    set_mode,
    settle,
    tame,
    train,
)
from segdemo.weights import read_facts, write_facts

CHAIR, CAR, FCN = (MODELS[name] for name in ("chair-unet", "car-unet-vgg16", "fcn"))
PLAIN = {"encoder": "plain", "base": 4}
TINY = Recipe(steps=4, batch=2, sizes=(32,), checks=2, architecture=PLAIN)


def test_one_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = CHAIR.build(classes=1, encoder="plain", base=8)
    x = torch.randn(4, 3, 32, 32)
    labels = (x.mean(1) > 0.2).to(torch.uint8)
    optimizer = torch.optim.AdamW(parameter_groups(network, TINY), lr=1e-3)
    before = segmentation_loss(network(x), labels, [0] * 4)
    before.backward()
    optimizer.step()
    assert segmentation_loss(network(x), labels, [0] * 4) < before


@pytest.mark.parametrize("name", MODELS)
def test_each_model_trains_on_a_folder_of_ones_own(
    name: str, make_folder: MakeFolder, tmp_path: Path
) -> None:
    spec = MODELS[name]
    root = make_folder(classes=["background", spec.classes[1]], photos=3)
    facts = train(spec, [root], tmp_path / "out", Recipe(steps=2, batch=2, sizes=(40,), checks=1))
    written = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert written == json.loads(json.dumps(facts))
    assert set(facts["figures"]) == {"made/val", "made/test"}
    assert facts["classes"] == list(spec.classes)
    assert len(facts["curve"]) == 1 and facts["curve"][0]["step"] == 2
    weights = load_file(tmp_path / "out" / f"{name}.safetensors")
    assert all(w.dtype in (torch.float16, torch.int64) for w in weights.values())
    network = load_network(name, tmp_path / "out")
    assert not network.training
    assert network(torch.zeros(1, 3, 33, 50)).shape == (1, spec.logits, 33, 50)


def test_a_run_learns_what_is_easy(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = replace(
        TINY,
        steps=120,
        batch=8,
        sizes=(48,),
        checks=1,
        architecture=PLAIN | {"base": 8},
        lr=5e-3,
        paste=0,
    )
    roots = [make_folder()]
    # It is asked at the size of the photos, as it was trained.
    spec = replace(CHAIR, input_size=64, sure=0.9999)
    facts = train(spec, roots, tmp_path, recipe, device="cpu")
    # How sure other weights have to be does not choose these.
    assert facts["curve"][0]["val"] > 0.6
    again = score(replace(spec, sure=0.5), load_network("chair-unet", tmp_path), roots, "test")
    assert again["made/test"]["iou"] > 0.6


def test_the_weights_of_the_best_check_are_written(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder()
    train(CHAIR, [root], tmp_path / "first", TINY, until=2)
    for best, figures in (("first", [0.9, 0.1]), ("last", [0.1, 0.9])):
        scores = iter(figures)
        monkeypatch.setattr("segdemo.train.mean_iou", lambda *_, scores=scores: next(scores))
        train(CHAIR, [root], tmp_path / "both", TINY)
        first, both = (
            load_file(tmp_path / d / "chair-unet.safetensors") for d in ("first", "both")
        )
        same = all(torch.equal(first[key], both[key]) for key in first)
        assert same == (best == "first")


def test_the_rates_of_learning() -> None:
    network = UNetVGG16(classes=1, width=0.125)
    groups = parameter_groups(network, replace(TINY, encoder_lr=0.25))
    encoder = {id(p) for p in network.features.parameters()}
    for group in groups:
        for parameter in group["params"]:
            assert group["scale"] == (0.25 if id(parameter) in encoder else 1.0)
            # Nothing pulls a bias or a norm's scale to zero.
            assert ("weight_decay" in group) == (parameter.dim() == 1)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert schedule(0) < 0.05 and schedule(0.03) == 1 and schedule(1) == pytest.approx(0)


def test_the_average_follows_slowly() -> None:
    average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.zeros_(average.weight)
    nn.init.ones_(network.weight)
    for _ in range(2):
        follow(average, network, 0.9)
    assert average.weight.item() == pytest.approx(0.19)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("chair-unet", TINY),
        ("chair-unet", replace(TINY, teacher="fcn", auxiliary=0.4)),
        ("fcn", replace(TINY, architecture={})),  # has dropout
    ],
)
def test_a_resumed_run_equals_an_unbroken_one(
    name: str, recipe: Recipe, make_folder: MakeFolder, tmp_path: Path
) -> None:
    spec = MODELS[name]
    roots = [make_folder(classes=["background", MODELS[name].classes[1]])]
    on_cpu = {"device": "cpu", "workers": 0}  # some of a GPU's kernels add in any order
    train(spec, roots, tmp_path / "unbroken", recipe, **on_cpu)
    train(spec, roots, tmp_path / "broken", recipe, **on_cpu, until=2)
    train(spec, roots, tmp_path / "broken", recipe, **on_cpu, resume=True)
    one, other = (load_file(tmp_path / d / f"{name}.safetensors") for d in ("unbroken", "broken"))
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def test_a_run_that_cannot_be_resumed_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    roots, other = [make_folder()], [make_folder("other", photos=5)]
    train(CHAIR, roots, tmp_path, TINY, until=2)
    for changed in ((roots, replace(TINY, lr=1.0)), (other, TINY)):
        with pytest.raises(TrainError, match="other options or data"):
            train(CHAIR, changed[0], tmp_path, changed[1], resume=True)
    (tmp_path / "chair-unet.checkpoint").write_bytes(b"damaged")
    with pytest.raises(TrainError, match="cannot be read"):
        train(CHAIR, roots, tmp_path, TINY, resume=True)


def test_without_val_photos_no_figure_is_made_up(make_folder: MakeFolder, tmp_path: Path) -> None:
    facts = train(CHAIR, [make_folder(splits=["train", "test"])], tmp_path, TINY)
    assert [point["val"] for point in facts["curve"]] == [None, None]
    assert set(facts["figures"]) == {"made/test"}


def test_without_val_and_test_the_weights_are_written_all_the_same(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    facts = train(CHAIR, [make_folder(splits=["train"])], tmp_path, TINY)
    assert facts["figures"] == {}
    assert load_network("chair-unet", tmp_path)


def test_a_run_goes_on_when_val_photos_came_since(make_folder: MakeFolder, tmp_path: Path) -> None:
    root, later = make_folder(splits=["train"]), make_folder("later")
    train(CHAIR, [root], tmp_path, TINY, until=2)
    (later / "val").rename(root / "val")
    facts = train(CHAIR, [root], tmp_path, TINY, resume=True)
    assert [point["val"] is None for point in facts["curve"]] == [True, False]


def test_a_run_that_diverges_stops(make_folder: MakeFolder, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="smaller --lr"):
        train(CHAIR, [make_folder()], tmp_path, replace(TINY, lr=1e20))


def test_others_can_read_the_weights(make_folder: MakeFolder, tmp_path: Path) -> None:
    train(CHAIR, [make_folder()], tmp_path, TINY)
    modes = {path.suffix: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes[".safetensors"] == modes[".json"]


def test_val_photos_without_the_class_choose_nothing(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder()
    for mask in (root / "val" / "masks").iterdir():
        Image.new("L", (64, 48)).save(mask)
    facts = train(CHAIR, [root], tmp_path, TINY, device="cpu")
    assert [point["val"] for point in facts["curve"]] == [None, None]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_photo_stops_the_run_with_its_name(
    workers: int, make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder(photos=2)
    (root / "train" / "images" / "1.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        train(CHAIR, [root], tmp_path, replace(TINY, batch=8), workers=workers)
    assert "1.png: This file is empty" in str(caught.value) and "\n" not in str(caught.value)


def test_a_bad_photo_to_choose_by_is_told_of_before_the_first_step(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(photos=2)
    (root / "val" / "images" / "1.png").write_bytes(b"")
    monkeypatch.setattr("segdemo.train.build", lambda *_: pytest.fail("it has begun"))
    with pytest.raises(DataError, match=r"val/images/1\.png: This file is empty"):
        train(CHAIR, [root], tmp_path, TINY)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_goes_wrong_with_a_photo_is_told_with_its_name(
    workers: int, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Samples, *_: int) -> None:
        raise MemoryError("no memory")

    monkeypatch.setattr(Samples, "make", full)
    with pytest.raises(DataError, match=r"train/images/\d\.png: MemoryError: no memory$"):
        train(CHAIR, [make_folder()], tmp_path, TINY, workers=workers)


def test_samples_do_not_depend_on_who_reads_them(make_folder: MakeFolder) -> None:
    samples = Samples(
        open_folders([make_folder()], "train", CHAIR), (32,), crop=0.2, paste=0.3, cover=0.3
    )
    torch.manual_seed(1)
    first = samples[1, 32, 77]
    torch.manual_seed(2)
    again, other = samples[1, 32, 77], samples[1, 32, 78]
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (3, 32, 32) and first[1].shape == (2, 32, 32)


def test_samples_are_pasted_and_cropped_as_asked(make_folder: MakeFolder) -> None:
    folders = open_folders([make_folder()], "train", CHAIR)
    keys = [(1, 32, seed) for seed in range(8)]

    def made(crop: float, paste: float, cover: float = 0.0) -> Tensor:
        samples = Samples(folders, (32,), crop, paste, cover)
        return torch.stack([samples[key][1] for key in keys])

    plain = made(1.0, 0.0)
    assert torch.equal(plain, made(1.0, 0.0))
    assert not torch.equal(plain, made(1.0, 1.0)) and not torch.equal(plain, made(0.2, 0.0))
    assert not torch.equal(plain, made(1.0, 0.0, 1.0))


def test_a_photo_without_objects_stays_itself(make_folder: MakeFolder) -> None:
    samples = Samples(
        open_folders([make_folder()], "train", CHAIR), (32,), crop=1.0, paste=1.0, cover=0.0
    )
    assert not any((samples[0, 32, seed][1] == 1).any() for seed in range(8))


def test_other_things_hide_what_is_looked_for(make_folder: MakeFolder) -> None:
    """As people on chairs do; and they are pasted as chairs are, or a seam would mean a chair."""
    root = make_folder(classes=["background", "chair", "dog"], photos=3)
    Image.new("L", (64, 48), 1).save(root / "train" / "masks" / "1.png")
    folders = open_folders([root], "train", CHAIR)
    dog, chair = FCN.classes.index("dog"), FCN.classes.index("chair")
    covered = Samples(folders, (32,), crop=1.0, paste=0.0, cover=1.0)
    pasted = Samples(folders, (32,), crop=1.0, paste=1.0, cover=0.0)
    hidden, beside, on_nothing = 0, 0, set[int]()
    for seed in range(30):
        labels, kinds = covered[1, 32, seed][1]
        assert torch.equal(labels == 1, kinds == chair)
        assert ((labels == 1) | (kinds == dog))[labels != IGNORE].all()  # never behind the chair
        hidden += bool((labels == 1).any() and (kinds == dog).any())
        on_nothing |= set(covered[0, 32, seed][1][1].unique().tolist())
        labels, kinds = pasted[2, 32, seed][1]
        beside += bool((labels == 1).any() and (kinds == dog).any())
    assert hidden > 5 and beside > 5 and on_nothing >= {IGNORE, chair, dog}


def test_rare_classes_are_shown_more_often(make_folder: MakeFolder) -> None:
    common = make_folder("common", photos=8, classes=["background"] * 2 + ["dog"])
    rare = make_folder("rare", photos=2, classes=["background", "cat"])
    folders = open_folders([common, rare], "train", FCN)
    drawn = drawn_of(Draw(folders, FCN, 10, 1.0, (), seed=0))
    share = drawn.count(9) / len(drawn)  # the one cat, of ten photos with three kinds
    assert 0.25 < share < 0.42


def test_a_data_folder_is_shown_as_much_as_its_share(make_folder: MakeFolder) -> None:
    large, small = make_folder("large", photos=8), make_folder("small", photos=2)
    folders = open_folders([large, small], "train", CHAIR)
    drawn = drawn_of(Draw(folders, CHAIR, 10, 0.0, (1, 3), seed=0))
    assert 0.7 < (drawn.count(8) + drawn.count(9)) / len(drawn) < 0.8
    assert len(set(drawn)) == 10


def test_a_class_that_is_rare_in_its_folder_is_shown_however_common_it_is_elsewhere(
    make_folder: MakeFolder,
) -> None:
    catalogue = make_folder("catalogue", photos=40, classes=["background", "chair"])
    homes = make_folder("homes", photos=10, classes=["background", *["dog"] * 8, "chair"])
    folders = open_folders([catalogue, homes], "train", FCN)
    drawn = drawn_of(Draw(folders, FCN, 10, 1.0, (1, 1), seed=0))
    assert 0.12 < drawn.count(49) / len(drawn) < 0.21  # a third of the half that homes have


def drawn_of(draw: Draw) -> list[int]:
    return [place for step in range(100) for place, _, _ in draw.keys(step, 32)]


def test_shares_are_given_for_every_data_folder_or_none(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    recipe = replace(TINY, shares=(1.0, 2.0))
    with pytest.raises(TrainError, match="2 shares were given for 1 data folder"):
        train(CHAIR, [make_folder()], tmp_path, recipe)


def test_small_crops_come_first() -> None:
    recipe = Recipe(steps=5, sizes=(16, 32))
    assert [crop_size(step, recipe) for step in range(5)] == [16, 16, 16, 32, 32]


def test_augmentation_moves_picture_and_labels_together() -> None:
    """A white box on black stays the labelled part, wherever crops, turns and light take it."""
    image = torch.zeros(3, 48, 64, dtype=torch.uint8)
    labels = torch.zeros(48, 64, dtype=torch.uint8)
    labels[10:40, 20:50] = 1
    image[:, labels == 1] = 255
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        changed, moved = augmentation(40, 0.2)(tv.Image(image), tv.Mask(labels))
        assert changed.shape == (3, 40, 40) and moved.shape == (40, 40)
        assert set(moved.unique().tolist()) <= {0, 1, IGNORE}
        counts = moved != IGNORE
        bright = changed.float().mean(0) > changed.float().mean(0)[counts].max() / 2
        if (moved == 1).any() and (moved == 0).any():
            assert (bright == (moved == 1))[counts].float().mean() > 0.93
        seen.add(int((moved == 1).sum()))
    assert len(seen) > 10


def test_augmentation_shows_what_visitors_bring() -> None:
    """Near and far, mirrored, turned, in other light and without colours: each now and then."""
    row = torch.linspace(0, 255, 64).to(torch.uint8).expand(48, 64)  # brighter to the right
    image = tv.Image(torch.stack([row, row // 2, row // 4]))
    found = dict.fromkeys(("mirrored", "not mirrored", "turned", "brighter", "darker", "grey"), 0)
    contrasts = list[float]()
    for seed in range(60):
        torch.manual_seed(seed)
        changed, moved = augmentation(40, 0.2)(image, tv.Mask(torch.zeros(48, 64).byte()))
        red = changed[0].float()
        rises = (red[:, -6:].mean() - red[:, :6].mean()).item()
        found["mirrored"] += rises < 0
        found["not mirrored"] += rises > 0
        found["turned"] += bool((moved == IGNORE).any())
        found["brighter"] += bool(red.max() > 180)
        found["darker"] += bool(red.max() < 140)
        found["grey"] += torch.equal(changed[0], changed[2])
        contrasts.append(abs(rises))
    assert all(found.values()), found
    assert max(contrasts) > 3 * min(contrasts)  # crops of all sizes


def test_words_lie_over_photos_and_labels_are_as_they_were() -> None:
    image, labels = torch.full((3, 48, 64), 90).byte(), torch.arange(48 * 64).reshape(48, 64) % 2
    written = []
    for seed in range(40):
        torch.manual_seed(seed)
        changed, kept = Words()(tv.Image(image), tv.Mask(labels))
        assert changed.shape == image.shape and torch.equal(kept, labels)
        written.append((changed != image).any(dim=0).float().mean().item())
    assert sum(share > 0.01 for share in written) > 20 and max(written) < 0.7


@pytest.mark.parametrize("across", [False, True])
def test_labels_lie_where_the_picture_does(across: bool) -> None:
    """To a tenth of a pixel on average: a network learns half a pixel."""
    image = torch.zeros(3, 90, 90, dtype=torch.uint8)
    image[:, 44:] = 255
    if across:
        image = image.mT
    labels = (image[0] > 0).to(torch.uint8)
    crop = ResizedCrop(40, scale=(0.5, 1.0), antialias=True)
    off = []
    for seed in range(100):
        torch.manual_seed(seed)
        changed, moved = crop(tv.Image(image), tv.Mask(labels))
        off.append((changed.float().mean() / 255 - moved.float().mean()).item() * 40)
    assert abs(np.mean(off)) < 0.1


def test_pasting_covers_what_is_behind() -> None:
    def flat(value: int, label: int) -> tuple[Tensor, Tensor]:
        size = (20, 20)
        image = torch.full((3, *size), value, dtype=torch.uint8)
        return image, torch.full((2, *size), label, dtype=torch.uint8)

    torch.manual_seed(0)
    image, (labels, kinds) = paste(flat(200, 1), flat(50, 0))
    assert torch.equal(labels, kinds)
    assert image.shape == (3, 20, 20)
    assert 0 < (labels == 1).sum() <= 400
    assert torch.equal(image[0] == 200, labels == 1)
    assert (image[0][labels == 0] == 50).all()
    # Several, smaller ones too; and cut off at the edge, as in a scene.
    shares, cut = set[int](), 0
    for seed in range(20):
        torch.manual_seed(seed)
        found = paste(flat(200, 1), flat(50, 0))[1][0] == 1
        shares.add(int(found.sum()))
        cut += bool(found[0].any() or found[-1].any() or found[:, 0].any() or found[:, -1].any())
    assert min(shares) < 60 and max(shares) > 250 and cut > 5
    # The border of an object that is nobody's is nobody's there too; and it lies anywhere.
    bright, mask = flat(200, 1)
    mask[:, :6] = IGNORE
    tops = set[int]()
    for seed in range(8):
        torch.manual_seed(seed)
        image, (labels, _) = paste((bright, mask), flat(50, 0))
        rows = (labels == IGNORE).any(1).nonzero()[:, 0]
        assert len(rows) and (labels[rows[-1] + 1] == 1).any()
        tops.add(int(rows[0]))
    assert len(tops) > 2


def test_what_is_ignored_changes_no_loss() -> None:
    torch.manual_seed(0)
    for channels in (1, 5):
        scores = torch.randn(2, channels, 8, 8)
        labels = torch.randint(0, min(channels + 1, 5), (2, 8, 8), dtype=torch.uint8)
        labels[:, :4] = IGNORE
        changed = scores.clone()
        changed[:, :, :4] += 50
        losses = []
        for given in (scores, changed):
            torch.manual_seed(1)
            losses.append(segmentation_loss(given, labels, [0, 1]))
        assert losses[0] == losses[1]
        assert segmentation_loss(scores, torch.full_like(labels, IGNORE), [0, 1]).isfinite()


@pytest.mark.parametrize("channels", [1, 5])
def test_scores_are_as_coarse_as_the_network_finds_them(channels: int) -> None:
    truth = torch.zeros(1, 6, 6, dtype=torch.uint8)
    truth[:, 2:4, 1:5] = 1
    labels = truth.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    right = (20 * F.one_hot(truth.long(), 5).movedim(-1, 1) - 10).float()
    right = right if channels == 5 else right[:, 1:2]
    shifted = right.roll(1, dims=-1)
    assert segmentation_loss(right, labels, [0]) < 0.6 < segmentation_loss(shifted, labels, [0])


def test_to_miss_an_object_costs_much_however_small_it_is() -> None:
    labels = torch.zeros(1, 40, 40, dtype=torch.uint8)
    labels[:, :4, :4] = 1
    truth = F.one_hot(labels.long(), 5).movedim(-1, 1).float()
    for right in (16 * truth - 8, 16 * truth[:, 1:2] - 8):  # five logits, and one
        missed = right[..., -1:, -1:].expand_as(right)  # as where there is nothing
        assert segmentation_loss(right, labels, [0]) < 0.05
        assert segmentation_loss(missed, labels, [0]) > 0.4


def test_small_objects_of_one_folder_are_not_lost_beside_large_ones_of_another() -> None:
    labels = torch.zeros(2, 40, 40, dtype=torch.uint8)
    labels[0, :, :20] = labels[1, :4, :4] = 1
    truth = 16 * (labels[:, None] == 1).float() - 8
    missed = torch.cat([truth[:1], truth[1:, ..., -1:, -1:].expand(1, 1, 40, 40)])
    apart, together = (segmentation_loss(missed, labels, folders) for folders in ([0, 1], [0, 0]))
    assert together < 0.2 and apart > 0.4
    # Photos without any say nothing here, whoever else is in the batch.
    nothing, none = truth[:1].new_full((1, 1, 40, 40), -8), labels.new_zeros(1, 40, 40)
    assert segmentation_loss(
        torch.cat([truth, nothing]), torch.cat([labels, none]), [0, 1, 2]
    ) == pytest.approx(segmentation_loss(truth, labels, [0, 1]).item(), abs=1e-3)


def test_averaged_weights_get_statistics_of_their_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(features=nn.BatchNorm2d(3), rest=nn.BatchNorm2d(3)))
    network[0].running_mean.fill_(9.0)
    inputs = [torch.randn(2, 3, 4, 4) + shift for shift in (0.0, 1.0, 5.0)]
    settle(network, Recipe(freeze_encoder=True), inputs)
    assert (network[0].running_mean == 9).all()  # frozen
    settle(network, Recipe(), inputs)
    means = torch.stack([x.mean(dim=(0, 2, 3)) for x in inputs])
    assert torch.allclose(network[0].running_mean, means.mean(dim=0), atol=1e-6)
    assert not network.training


def vgg16_file(path: Path) -> dict[str, Tensor]:
    torch.manual_seed(5)
    state = {
        f"features.{k}": v for k, v in UNetVGG16(encoder="vgg16").features.state_dict().items()
    }
    state["head.fc.weight"] = torch.zeros(2, 2)
    save_file(state, path)
    return state


def test_an_encoder_starts_from_a_file_and_can_stay_frozen(tmp_path: Path) -> None:
    state = vgg16_file(tmp_path / "vgg16.safetensors")
    recipe = Recipe(
        encoder_weights=str(tmp_path / "vgg16.safetensors"),
        freeze_encoder=True,
        architecture={"encoder": "vgg16"},
    )
    network = build(CAR, recipe)
    assert torch.equal(network.features[0].weight, state["features.0.weight"])
    groups = parameter_groups(network, recipe)
    set_mode(network, recipe)
    assert network.up.training and not network.features.training
    assert not any(p.requires_grad for p in network.features.parameters())
    learning = {id(p) for group in groups for p in group["params"]}
    assert learning == {id(p) for p in network.parameters() if p.requires_grad}


def test_an_encoder_starts_from_timms_file(tmp_path: Path) -> None:
    torch.manual_seed(6)
    features = FCN.build(classes=21).features.state_dict()
    theirs = {ours: name for name, ours in IN_TIMM.items()}
    state = {}
    for name, tensor in features.items():
        layer, _, kind = name.rpartition(".")
        state[f"{theirs[layer]}.{kind}"] = tensor
    state["classifier.weight"] = torch.zeros(1000, 1280)
    save_file(state, tmp_path / "lite.safetensors")
    network = build(FCN, Recipe(encoder_weights=str(tmp_path / "lite.safetensors")))
    assert torch.equal(network.features[0][0].weight, state["conv_stem.weight"])
    assert torch.equal(network.features[1].conv[1].weight, state["blocks.0.0.conv_pw.weight"])
    assert torch.equal(network.features[2].conv[0][0].weight, state["blocks.1.0.conv_pw.weight"])
    assert torch.equal(network.features[20].conv[1][1].bias, state["blocks.5.4.bn2.bias"])
    assert torch.equal(network.features[21].conv[2].weight, state["blocks.6.0.conv_pwl.weight"])
    assert torch.equal(network.features[22][0].weight, state["conv_head.weight"])


def test_encoder_weights_come_from_the_hub(make_folder: MakeFolder, tmp_path: Path) -> None:
    """The real Hub client, against a server that answers as the Hub does; the encoder frozen."""
    state = vgg16_file(tmp_path / "vgg16.safetensors")
    content = (tmp_path / "vgg16.safetensors").read_bytes()
    asked = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("ETag", '"0123456789"')
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    data = make_folder(classes=["background", "car"], photos=2)
    command = f"train car-unet-vgg16 --data {data} --out {tmp_path} --encoder-weights hub"
    command += " --architecture encoder=vgg16 --freeze-encoder"
    command += " --steps 1 --batch 2 --sizes 32 --checks 1"
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", "segdemo", *command.split()],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **hub},
        capture_output=True,
        text=True,
    )
    server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "/timm/vgg16.tv_in1k/resolve/main/model.safetensors" in asked
    trained = load_file(tmp_path / "car-unet-vgg16.safetensors")
    for name in ("features.0.weight", "features.28.weight"):
        assert torch.equal(trained[name], state[name].half())


@pytest.mark.parametrize(
    ("spec", "recipe", "says"),
    [
        (CHAIR, Recipe(architecture={"sideways": 1}), "cannot be built"),
        (CHAIR, Recipe(architecture={"up": "sideways"}), "cannot be built"),
        (CHAIR, Recipe(encoder_weights="hub", architecture=PLAIN), "no encoder"),
        (replace(FCN, encoders={}), Recipe(encoder_weights="hub"), "give a file"),
        (CHAIR, Recipe(freeze_encoder=True, architecture=PLAIN), "no encoder"),
        (FCN, Recipe(encoder_weights="nowhere.safetensors"), "no encoder weights at nowhere"),
        (FCN, Recipe(start_share=0.5), "needs --start"),
        (FCN, Recipe(paste=0.6, cover=0.5), "at most 1 together"),
    ],
)
def test_a_recipe_that_cannot_be_followed_says_why(spec, recipe: Recipe, says: str) -> None:
    with pytest.raises(TrainError, match=says):
        build(spec, recipe)


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(TrainError, match="no weights for the encoder"):
        build(CAR, Recipe(encoder_weights=str(path)))
    path.write_bytes(np.random.default_rng(0).bytes(100))
    with pytest.raises(TrainError, match="no weights for the encoder"):
        build(CAR, Recipe(encoder_weights=str(path)))


def test_a_run_can_start_from_trained_weights(make_folder: MakeFolder, tmp_path: Path) -> None:
    train(CHAIR, [make_folder()], tmp_path, TINY)
    path = tmp_path / "chair-unet.safetensors"
    again = build(CHAIR, replace(TINY, start=str(path)))
    for key, value in load_network("chair-unet", tmp_path).state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    with pytest.raises(TrainError, match="no weights of this network"):
        build(CHAIR, Recipe(start=str(path)))  # of another encoder
    with pytest.raises(TrainError, match=r"no weights at nowhere\.safetensors"):
        build(CHAIR, Recipe(start="nowhere.safetensors"))


@pytest.mark.parametrize(("share", "far"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_weights_keep_a_share_of_what_they_started_from(
    make_folder: MakeFolder, tmp_path: Path, share: float, far: float
) -> None:
    """And so do the statistics of BatchNorm."""

    def weights(folder: str) -> Tensor:
        state = load_network("chair-unet", tmp_path / folder).state_dict()
        mean = next(value for name, value in state.items() if name.endswith("running_mean"))
        return torch.cat([state["score.weight"].flatten(), mean])

    first, data = replace(TINY, checks=1), [make_folder()]
    train(CHAIR, data, tmp_path / "first", first)
    onward = replace(first, start=str(tmp_path / "first" / "chair-unet.safetensors"), lr=0.1)
    train(CHAIR, data, tmp_path / "learned", onward)
    train(CHAIR, data, tmp_path / "blended", replace(onward, start_share=share))
    expected = torch.lerp(weights("first"), weights("learned"), far)
    torch.testing.assert_close(weights("blended"), expected, rtol=0, atol=1e-3)
    assert not torch.allclose(weights("first"), weights("learned"), atol=0.01)
    facts = read_facts(CHAIR, tmp_path / "first")
    write_facts(tmp_path / "first", CHAIR, facts | {"minutes": 60.0})
    assert train(CHAIR, data, tmp_path / "on", onward)["minutes"] >= 60


def learned(network: nn.Module, x: Tensor, beside: nn.Module, given: Tensor) -> list[float]:
    """The losses of what is learnt beside a network, `given` that, in 30 steps on the same `x`."""
    optimizer = torch.optim.Adam([*network.parameters(), *beside.parameters()], lr=3e-3)
    losses = []
    for _ in range(30):
        network.train()(x)
        loss = beside(given)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_an_encoder_learns_what_its_teacher_sees() -> None:
    torch.manual_seed(0)
    student = CAR.build(classes=1, width=0.125)
    hints = Hints(FCN, student, torch.device("cpu"))
    taught = {size: key for key, size in hints.pairs}
    assert taught.keys() == {f"down{level}" for level in range(2, 7)}  # the first is too fine
    before = {key: value.clone() for key, value in hints.teacher[1].state_dict().items()}
    images = (
        torch.from_numpy(example_photo()).permute(2, 0, 1)[None, :, :64, :64].repeat(2, 1, 1, 1)
    )
    losses = learned(student, as_input(images, CAR, torch.device("cpu")), hints, images)
    assert losses[-1] < 0.7 * losses[0]
    assert any(parameter.grad is not None for parameter in student.features[0].parameters())
    for key, value in hints.teacher[1].state_dict().items():
        assert torch.equal(value, before[key]), key


def test_all_kinds_of_things_are_learnt_beside_the_task() -> None:
    torch.manual_seed(0)
    network = CHAIR.build()
    auxiliary = Auxiliary(network, torch.device("cpu"))
    image = torch.randint(256, (2, 3, 64, 64)).byte()
    kinds = torch.zeros(2, 64, 64, dtype=torch.uint8)
    image[:, :, 20:48, 28:] //= 4
    kinds[:, 20:48, 28:], kinds[:, 48:52] = FCN.classes.index("dog"), IGNORE
    losses = learned(network, as_input(image, CHAIR, torch.device("cpu")), auxiliary, kinds)
    assert losses[-1] < 0.2
    assert network.features[0][0].weight.grad.abs().max() > 0
    assert auxiliary(torch.full_like(kinds, IGNORE)).item() == 0


def test_a_network_without_a_way_up_has_no_auxiliary_task(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    recipe = replace(TINY, auxiliary=0.4, architecture={})
    with pytest.raises(TrainError, match=r"no --auxiliary for fcn: it has no way up"):
        train(FCN, [make_folder()], tmp_path, recipe)


def test_what_the_auxiliary_task_teaches_is_shipped_but_not_its_own_layer(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder(classes=["background", "chair", "dog"])
    for weight in (0.0, 0.4):
        recipe = replace(TINY, auxiliary=weight, lr=0.1)
        train(CHAIR, [root], tmp_path / str(weight), recipe, device="cpu")
    alone, taught = (load_file(tmp_path / d / "chair-unet.safetensors") for d in ("0.0", "0.4"))
    assert alone.keys() == taught.keys()
    assert any(not torch.allclose(alone[key], taught[key], atol=1e-3) for key in alone)


def test_a_teacher_of_another_stride_is_shown_what_its_student_is(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    recipe = replace(TINY, sizes=(40,), teacher="fcn", architecture=PLAIN | {"levels": 2})
    facts = train(CHAIR, [make_folder()], tmp_path, recipe, device="cpu")
    assert len(facts["curve"]) == 2


def test_what_a_teacher_hints_at_is_learned(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    for teacher in ("none", "fcn"):
        recipe = replace(TINY, teacher=teacher, lr=0.1)
        train(CHAIR, [root], tmp_path / teacher, recipe, device="cpu")
    alone, taught = (load_file(tmp_path / d / "chair-unet.safetensors") for d in ("none", "fcn"))
    assert any(not torch.allclose(alone[key], taught[key], atol=1e-3) for key in alone)


def test_an_encoder_learns_at_its_own_rate(make_folder: MakeFolder, tmp_path: Path) -> None:
    small = {"width": 0.125}
    recipe = replace(TINY, architecture=small, encoder_lr=0.0, weight_decay=0.0, lr=0.1)
    root = make_folder(classes=["background", "car"])
    train(CAR, [root], tmp_path, recipe, device="cpu")
    torch.manual_seed(recipe.seed)
    first, learned = build(CAR, recipe), load_file(tmp_path / "car-unet-vgg16.safetensors")
    for name, parameter in first.named_parameters():
        same = torch.allclose(parameter.detach(), learned[name].float(), atol=1e-3)
        assert same or not name.startswith("features."), name
    assert not torch.allclose(first.score.weight.detach(), learned["score.weight"].float())


def test_a_photo_is_said_to_be_of_its_own_folder(make_folder: MakeFolder) -> None:
    folders = open_folders([make_folder("one"), make_folder("two", photos=5)], "train", CHAIR)
    draw = Draw(folders, CHAIR, 16, 0.5, (), seed=3)
    here = [int(place >= len(folders[0])) for place, *_ in draw.keys(7, 32)]
    assert draw.folders(7) == here and set(here) == {0, 1}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_photo_that_cannot_be_read_is_told_of_before_the_first_step(
    split: str, make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder()
    photo = max((root / split / "images").iterdir())
    photo.write_bytes(b"")
    with pytest.raises(DataError, match=photo.name):
        train(CHAIR, [root], tmp_path / "out", replace(TINY, steps=10**6))


def test_variances_beyond_half_precision_become_smaller_scales() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    network[1].running_var.copy_(torch.tensor([0.5, 65504.0, 7e4, 3e5]))
    x = 500 * torch.randn(1, 3, 8, 8)
    before = network(x)
    tame(network)
    assert all(halved(tensor).dtype != torch.float32 for tensor in network.state_dict().values())
    torch.testing.assert_close(network(x), before)


def test_what_half_precision_cannot_hold_is_kept() -> None:
    assert halved(torch.full((2,), 7e4)).tolist() == [7e4, 7e4]
    assert halved(torch.ones(2)).dtype == torch.float16


def test_data_without_photos_or_without_the_class_is_refused(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no images"):
        train(CHAIR, [make_folder(splits=["val"])], tmp_path, TINY)
    with pytest.raises(DataError, match="No mask shows any of chair"):
        train(CHAIR, [make_folder("empty", photos=1)], tmp_path, TINY)
