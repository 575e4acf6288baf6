"""Training: folders of photos and masks become weights, facts and a curve.

One recipe for the GPU and the CPU; only the number of steps differs. Every random choice is drawn
from the seed and the number of the step, so on the CPU a run that was stopped goes on exactly
as if it never had been.
"""

import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from .auxiliary import Auxiliary
from .console import THRESHOLD
from .cpu_training import keep_memory, skip_afterwards
from .data import IGNORE, DataError, Folder, open_folders, places
from .engine import Runner, fast_dtype, load_network, pick_device
from .evaluate import evaluate, figure, record, score
from .files import write_whole
from .hints import Hints
from .hub import HubError, fetch, sha256_of
from .networks import Network
from .networks.efficientnet_lite import as_here
from .networks.padding import padded
from .preprocess import preprocess
from .recipe import Recipe
from .registry import ModelSpec, find_model
from .sampling import Draw, Samples, collate, one_thread
from .weights import Facts, read_facts, write_facts

SETTLING = 50  # batches, at each check


class TrainError(RuntimeError):
    """A training that cannot be started; str(e) is one sentence."""


def train(
    spec: ModelSpec,
    roots: Sequence[Path],
    out: Path,
    recipe: Recipe,
    *,
    device: str = "auto",
    resume: bool = False,
    workers: int | None = None,
    until: int | None = None,
) -> Facts:
    """Train the network of `spec` on the `train` split of `roots`; choose on `val`, report `test`.

    Writes `out`/NAME.safetensors (half precision, the average that was best on val), NAME.json
    (the facts) and, at every check, NAME.checkpoint; with `resume` goes on from that. `until`
    stops after that step, as if interrupted, and ships what there is. workers: processes that read
    photos; None: one where a CPU trains, which they share, and up to eight for a GPU, which would
    wait for one. Returns the facts.

    Raises DataError, TrainError, DeviceError; UnknownModel of the teacher; WeightsError of that, or
    where the facts beside `start` are damaged.
    """
    folders = open_folders(roots, "train", spec)
    if not folders:
        where = ", ".join(str(root / "train" / "images") for root in roots)
        raise DataError(f"There are no images in {where}.")
    val, test = (open_folders(roots, split, spec) for split in ("val", "test"))
    place = pick_device(device)
    fast = fast_dtype(place)
    if workers is None:
        workers = 1 if place.type == "cpu" else min(8, len(os.sched_getaffinity(0)))
    seen = [[folder.name, len(folder)] for folder in folders]
    # What is wrong is told now, and not when there is something to lose; of `train` by Draw.
    photos = places([*val, *test])
    for folder, index in tqdm(photos, desc="reading val and test", leave=False, disable=None):
        folder.sample(index)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass
    checkpoint = out / f"{spec.name}.checkpoint"

    torch.manual_seed(recipe.seed)
    network = build(spec, recipe).to(place).to(memory_format=torch.channels_last)
    average = deepcopy(network).requires_grad_(False)
    first = deepcopy(average)
    if place.type == "cpu":
        keep_memory()
        skip_afterwards(network)
    body = cast(Network, network)
    groups = parameter_groups(network, recipe)
    hints = None if recipe.teacher == "none" else Hints(find_model(recipe.teacher), network, place)
    stride = hints.stride if hints else body.stride
    auxiliary = auxiliary_of(network, spec, place) if recipe.auxiliary else None
    # What is learnt beside the network, and not shipped.
    beside = nn.ModuleList(part for part in (hints, auxiliary) if part)
    groups.append({"params": list(beside.parameters()), "scale": 1.0})
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    before = seconds_before(spec, recipe)
    state: dict[str, Any] = {"step": 0, "seconds": before, "curve": [], "best": -1.0}
    best = average.state_dict()
    if resume and not checkpoint.exists():
        tqdm.write(f"There is no checkpoint in {out} yet: from the beginning.")
    elif resume:
        saved = read_checkpoint(checkpoint)
        if saved["recipe"] != asdict(recipe) or saved["seen"] != seen:
            raise TrainError(
                f"{checkpoint} was made with other options or data; leave out --resume."
            )
        network.load_state_dict(saved["network"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        state, best = saved["state"], saved["best"]
        beside.load_state_dict(saved["beside"])

    if recipe.shares and len(recipe.shares) != len(folders):
        raise TrainError(
            f"{len(recipe.shares)} shares were given for {len(folders)} data folders with photos."
        )
    draw = Draw(folders, spec, recipe.batch, recipe.balance, recipe.shares, recipe.seed)
    steps = range(state["step"], min(until or recipe.steps, recipe.steps))
    samples = Samples(folders, recipe.sizes, recipe.crop, recipe.paste, recipe.cover)

    def load(steps: Iterable[int]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in DataLoader(
            samples,
            batch_sampler=(draw.keys(step, crop_size(step, recipe)) for step in steps),
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=one_thread,
            pin_memory=place.type == "cuda",
        ):
            if isinstance(batch, DataError):
                raise batch
            yield batch

    every = math.ceil(recipe.steps / recipe.checks)
    progress = tqdm(steps, initial=state["step"], total=recipe.steps, desc=spec.name, disable=None)
    started, losses = time.monotonic(), []
    for step, (images, labels) in zip(progress, load(steps), strict=True):
        torch.manual_seed(recipe.seed + step)  # for dropout
        set_mode(network, recipe)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * group["scale"] * schedule(step / recipe.steps)
        with torch.autocast(place.type, fast, enabled=fast != torch.float32):
            scores = body.scores(padded(as_input(images, spec, place), stride))
            hinted = hints(images.to(place, non_blocking=True)) if hints else 0.0
        labels, kinds = padded(labels.to(place, non_blocking=True), stride, IGNORE).unbind(1)
        loss = segmentation_loss(scores.float(), labels, draw.folders(step)) + hinted
        if auxiliary:
            loss = loss + recipe.auxiliary * auxiliary(kinds)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        follow(average, network, min(recipe.ema, (1 + step) / (10 + step)))
        state["step"] = step + 1
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise TrainError(f"The loss of step {step + 1} is no number: try a smaller --lr.")
        progress.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")

        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            # The last steps again: their crops have the size that the run ends with.
            again = load(range(max(0, recipe.steps - SETTLING), recipe.steps))
            with torch.autocast(place.type, fast, enabled=fast != torch.float32):
                settle(average, recipe, (as_input(images, spec, place) for images, _ in again))
            shown = towards(average, first, recipe.start_share)
            # With no more than THRESHOLD asked of a region: how sure it has to be is chosen for
            # weights that are finished. Where val shows none of the classes, the last are taken.
            runner = Runner(replace(spec, sure=THRESHOLD), shown, place, fast)
            reached = mean_iou(runner, val)
            state["seconds"] += time.monotonic() - started
            point = {"step": step + 1, "loss": figure(float(np.mean(losses))), "val": reached}
            state["curve"].append(point)
            started, losses = time.monotonic(), []
            tqdm.write(f"step {point['step']}: loss {point['loss']}, val IoU {point['val']}")
            if reached is None or reached >= state["best"]:
                state["best"] = -1.0 if reached is None else reached
                best = shown.state_dict()
            saved = {
                "recipe": asdict(recipe),
                "seen": seen,
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "state": state,
                "best": best,
                "beside": beside.state_dict(),
            }
            content = BytesIO()  # torch.save to a file on a full disk speaks of its own insides
            torch.save(saved, content)
            write_whole(checkpoint, content.getvalue())
    average.load_state_dict(best)
    return ship(spec, average, out, recipe, state, roots)


def build(spec: ModelSpec, recipe: Recipe) -> nn.Module:
    """The network that a run starts from. Raises TrainError."""
    try:
        network = spec.build(classes=spec.logits, **recipe.architecture)
    except (TypeError, ValueError) as error:
        raise TrainError(f"{spec.name} cannot be built so: {error}.") from error
    encoder = getattr(network, "features", None)
    if encoder is None and (recipe.freeze_encoder or recipe.encoder_weights != "none"):
        raise TrainError(f"{spec.name} has no encoder to be frozen or to start from other weights.")
    if recipe.batch == 1 and min(recipe.sizes) <= cast(Network, network).stride:
        raise TrainError("BatchNorm needs more than one place: give a larger --batch or --sizes.")
    if recipe.paste + recipe.cover > 1:
        raise TrainError("--paste and --cover are shares of the same samples: at most 1 together.")
    if recipe.start_share and recipe.start == "none":
        raise TrainError("--start-share needs --start.")
    if recipe.start != "none":
        if not Path(recipe.start).is_file():
            raise TrainError(f"There are no weights at {recipe.start}.")
        try:
            network.load_state_dict(load_file(recipe.start))
        except (RuntimeError, OSError, SafetensorError) as error:
            raise TrainError(f"{recipe.start} holds no weights of this network.") from error
    if encoder is None or recipe.encoder_weights == "none":
        return network
    path, prefix, known = encoder_file(spec, recipe), "features.", encoder.state_dict()
    try:
        state = {as_here(key.removeprefix(prefix)): value for key, value in load_file(path).items()}
        encoder.load_state_dict({key: state[key] for key in known if key in state})
    except (RuntimeError, SafetensorError) as error:
        raise TrainError(
            f"{recipe.encoder_weights} holds no weights for the encoder of {spec.name}."
        ) from error
    return network


def auxiliary_of(network: nn.Module, spec: ModelSpec, place: torch.device) -> Auxiliary:
    """The auxiliary task of a network. Raises TrainError."""
    try:
        return Auxiliary(network, place)
    except ValueError as error:
        raise TrainError(f"There is no --auxiliary for {spec.name}: {error}.") from error


def seconds_before(spec: ModelSpec, recipe: Recipe) -> float:
    """How long the weights were trained that a run goes on from, if their facts lie beside."""
    start = Path(recipe.start)
    if recipe.start == "none" or not start.with_name(f"{spec.name}.json").is_file():
        return 0.0
    facts = read_facts(spec, start.parent)
    return 60.0 * facts.get("minutes", 0.0) if facts.get("sha256") == sha256_of(start) else 0.0


def encoder_file(spec: ModelSpec, recipe: Recipe) -> Path:
    """Where the ImageNet weights of the encoder lie, fetched from the Hub if asked for."""
    if recipe.encoder_weights != "hub":
        path = Path(recipe.encoder_weights)
        if not path.is_file():
            raise TrainError(f"There are no encoder weights at {path}.")
        return path
    usual = next(iter(spec.encoders), "")
    repo = spec.encoders.get(recipe.architecture.get("encoder", usual))
    if repo is None:
        raise TrainError(f"No encoder weights for {spec.name} are known on the Hub; give a file.")
    try:
        return fetch(repo)
    except HubError as error:
        raise TrainError(f"There are no encoder weights: {error}; give a file or none.") from error


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """AdamW's groups: no decay for biases and BatchNorm, an own rate for a trained encoder."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        scale = recipe.encoder_lr if name.startswith("features.") else 1.0
        if recipe.freeze_encoder and name.startswith("features."):
            parameter.requires_grad_(False)
            continue
        groups.setdefault((scale, parameter.dim() > 1), []).append(parameter)
    return [
        {"params": parameters, "scale": scale} | ({} if decay else {"weight_decay": 0.0})
        for (scale, decay), parameters in groups.items()
    ]


def set_mode(network: nn.Module, recipe: Recipe) -> None:
    network.train()
    if recipe.freeze_encoder:
        # Frozen means its BatchNorm statistics too.
        network.get_submodule("features").eval()


def schedule(progress: float) -> float:
    """Share of the learning rate at `progress` 0..1: a short warm-up, then half a cosine."""
    warm_up = 0.03
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / (1 - warm_up))


def segmentation_loss(scores: Tensor, labels: Tensor, folders: Sequence[int]) -> Tensor:
    """Mean loss over the pixels that count: scores [B, C, h, w], labels uint8 [B, H, W].

    Cross-entropy, of a sigmoid where there is one score and of a softmax where there are more,
    plus soft Dice over the batch (V-Net, https://arxiv.org/abs/1606.04797), which does not mind
    how rare a class is; of many classes, the mean over those that the batch shows, of one, that
    over the data folders (of each photo the number in `folders`). With many, one pixel of each two
    by two is asked, drawn by torch's global generator: a quarter of the work.
    """
    if scores.shape[1] > 1:
        row, column = torch.randint(2, (2,)).tolist()
        labels = labels[..., row::2, column::2]
    # Only as large as is asked for: what is thrown away of full-size logits of 21 classes, and
    # the gradients of that, would take half the time of a step.
    logits = F.interpolate(scores, labels.shape[-2:], mode="bilinear")
    counts = labels != IGNORE
    if logits.shape[1] > 1:
        log_p = logits.log_softmax(1)
        losses = F.nll_loss(log_p, labels.long(), ignore_index=IGNORE, reduction="sum")
        dice = soft_dice(log_p.exp(), labels, counts)
    else:
        logits, binary = logits[:, 0], (labels == 1).float()
        losses = F.binary_cross_entropy_with_logits(logits[counts], binary[counts], reduction="sum")
        dice = dice_by_folder(logits.sigmoid() * counts, binary, folders)
    return losses / counts.sum().clamp(min=1) + 1 - dice


def dice_by_folder(p: Tensor, truth: Tensor, folders: Sequence[int]) -> Tensor:
    """Dice of one class in the photos of each data folder, and the mean of that: both [B, H, W].

    In one sum with the large objects of other folders, small ones would be lost for almost
    nothing. A folder counts by its photos here; one that shows nothing of the class does not.
    """
    place = torch.tensor(folders, device=p.device)
    sums = torch.stack([p * truth, p, truth], -1).sum((1, 2))  # [B, 3]
    photos = place.bincount()
    hits, found, there = sums.new_zeros(len(photos), 3).index_add(0, place, sums).unbind(1)
    weights = photos * (there > 0)
    dice = (2 * hits + 1) / (found + there + 1)
    return (dice * weights).sum() / weights.sum().clamp(min=1)


def soft_dice(p: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """The mean Dice of the classes that are there: p [B, C, H, W], labels and counts [B, H, W]."""
    truth = labels.long().masked_fill(~counts, 0)
    right = p.gather(1, truth[:, None])[:, 0]
    hits = p.new_zeros(p.shape[1]).index_add(0, truth[counts], right[counts])
    found = torch.einsum("bchw,bhw->c", p, counts.to(p.dtype))
    sizes = truth[counts].bincount(minlength=p.shape[1])
    shown = sizes > 0
    return ((2 * hits + 1) / (found + sizes + 1) * shown).sum() / shown.sum().clamp(min=1)


def as_input(images: Tensor, spec: ModelSpec, device: torch.device) -> Tensor:
    """What the network sees of a batch of crops, uint8 [B, 3, S, S]."""
    x = preprocess(images.to(device, non_blocking=True), spec, images.shape[-1])
    return x.to(memory_format=torch.channels_last)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the exponential moving average a step towards the network."""
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)


@torch.no_grad()
def towards(network: nn.Module, other: nn.Module, share: float) -> nn.Module:
    """A copy of `network`, `share` of the way to `other`: WiSE-FT (https://arxiv.org/abs/2109.01903).

    Its BatchNorm statistics too. To compute them anew, from crops, was no better on `val`.
    """
    between = deepcopy(network)
    theirs = other.state_dict()
    for name, value in between.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)
    return between


@torch.no_grad()
def settle(average: nn.Module, recipe: Recipe, inputs: Iterable[Tensor]) -> None:
    """Give the averaged weights BatchNorm statistics of their own.

    Those of the network belong to other weights, and to its last few batches: with them the
    answers of an average sway from check to check. "Precise BN"
    (https://arxiv.org/abs/2105.07576): the mean over many batches, with the weights as they are.
    """
    set_mode(average, recipe)
    for norm in average.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.training:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all, not a running one
    for x in inputs:
        average(x)
    average.eval()


def mean_iou(runner: Runner, folders: Sequence[Folder]) -> float | None:
    """What runs are compared by: the mean over the folders of their `iou`; None without any."""
    scores = [evaluate(runner, folder, runner.spec.classes)["iou"] for folder in folders]
    counted = [score for score in scores if score is not None]
    return figure(float(np.mean(counted))) if counted else None


def crop_size(step: int, recipe: Recipe) -> int:
    """Pixels of the crops at a step: the sizes share the steps evenly."""
    return recipe.sizes[step * len(recipe.sizes) // recipe.steps]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `train` wrote. Raises TrainError."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved["recipe"], saved["seen"]
    except Exception as error:  # broad: torch.load raises almost anything on a damaged file
        raise TrainError(f"{path} cannot be read; leave out --resume.") from error
    return saved


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it is written down: of files their names, wherever they lay."""
    named = {k: v for k, v in asdict(recipe).items() if k != "architecture"}
    return named | {k: Path(named[k]).name for k in ("start", "encoder_weights")}


def ship(
    spec: ModelSpec,
    network: nn.Module,
    out: Path,
    recipe: Recipe,
    state: dict[str, Any],
    roots: Sequence[Path],
) -> Facts:
    """Write the weights and their facts, score them as they were written, return the facts."""
    path = out / f"{spec.name}.safetensors"
    tame(network)
    half = {
        name: halved(tensor).cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    write_whole(path, save(half))  # save_file would let nobody else read it
    facts: Facts = {
        "model": spec.name,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "parameters": sum(p.numel() for p in network.parameters()),
        "architecture": recipe.architecture,
        "classes": list(spec.classes),
        "input": {"size": spec.input_size, "mean": list(spec.mean), "std": list(spec.std)},
        "data": [folder.name for folder in open_folders(roots, "train", spec)],
        "recipe": recipe_facts(recipe),
        "minutes": round(state["seconds"] / 60, 1),
        "date": datetime.now(UTC).date().isoformat(),
        "licence": "what the terms of the data allow: see the card",
        "curve": state["curve"],
        "figures": {},
    }
    write_facts(out, spec, facts)
    shipped = load_network(spec.name, out)
    for split in ("val", "test"):
        if open_folders(roots, split, spec):
            record(spec, score(spec, shipped, roots, split), out)
    return read_facts(spec, out)


@torch.no_grad()
def tame(network: nn.Module) -> None:
    """Give BatchNorm no variance beyond half precision, and the same function; in place."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats:
            variance = cast(Tensor, module.running_var)
            most = variance.clamp(max=torch.finfo(torch.float16).max)
            module.weight.mul_(((most + module.eps) / (variance + module.eps)).sqrt())
            variance.copy_(most)


def halved(tensor: Tensor) -> Tensor:
    """In half precision, but for what that cannot hold."""
    half = tensor.half() if tensor.is_floating_point() else tensor
    return half if half.isfinite().all() else tensor
