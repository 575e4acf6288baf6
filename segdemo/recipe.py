"""How a training goes. Apart from it, since the terminal shows the defaults without torch."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How to train. Each field is an option of `python -m segdemo train`."""

    steps: int = 2000
    batch: int = 16
    sizes: tuple[int, ...] = (256,)  # pixels of a crop; the steps are shared evenly: small is cheap
    lr: float = 2e-3
    weight_decay: float = 1e-2
    encoder_lr: float = 1.0  # times lr, for an encoder that starts from trained weights
    balance: float = 0.5  # 1 shows every class as often as every other, 0 as the data has it
    shares: tuple[float, ...] = ()  # of each data folder in what is drawn; if empty, by its photos
    crop: float = 0.2  # smallest share of a photo's area that a crop shows
    paste: float = 0.3  # share of samples whose things are pasted onto another photo
    cover: float = 0.0  # share of samples that get the things of another in front, and no paste
    ema: float = 0.998  # the shipped weights are a running average over about 1 / (1 - ema) steps
    start: str = "none"  # a .safetensors of the whole network to go on from, as weights/ holds them
    start_share: float = 0.0  # of `start` in the shipped weights (https://arxiv.org/abs/2109.01903)
    encoder_weights: str = "none"  # "none", "hub" or a .safetensors file
    freeze_encoder: bool = False
    auxiliary: float = 0.0  # what telling all kinds of things apart counts beside the task itself
    teacher: str = "none"  # a model whose network gives hints, as it is used here
    architecture: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    checks: int = 8  # how often the run is scored on val and checkpointed
