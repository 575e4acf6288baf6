"""The terminal: `python -m segdemo COMMAND`. README.md has an example of each."""

import argparse
import dataclasses
import errno
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from .console import OPACITY, THRESHOLD, Parser, complain, in_short, one_line
from .quota import heed_quota
from .recipe import Recipe

# The rest of the package is imported where it is used: a mistyped option is answered at once,
# while torch takes seconds.


NAMES = "one that `python -m segdemo models` lists"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or with one line on stderr 2 where it cannot be done, 130 if stopped.

    What is not foreseen is told in a line too; `python -X dev -m segdemo` shows its traceback.
    """
    try:
        options = parser().parse_args(arguments)
        heed_quota()
        return run(options)
    except ModuleNotFoundError as error:
        if sys.flags.dev_mode:
            raise
        told = f"{error.name} is not installed: set up the environment as README.md says, or use it"
        complain(f"{told}, as .venv/bin/python -m segdemo")
        return 2
    except (ImportError, OSError) as error:  # of a package that is damaged
        complain(str(error).partition("\n")[0])
        return 2
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    finally:
        drop_output()


def run(options: argparse.Namespace) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for the names of files
    from .card import CardError
    from .data import DataError
    from .engine import DeviceError
    from .images import BadImage, ignore_remarks
    from .publish import PublishError
    from .registry import UnknownModel
    from .train import TrainError
    from .weights import WeightsError

    known = (
        BadImage,
        CardError,
        DataError,
        DeviceError,
        PublishError,
        TrainError,
        UnknownModel,
        WeightsError,
    )
    ignore_remarks()
    try:
        options.run(options)
        if sys.stdout:  # it may be closed
            sys.stdout.flush()
    except known as error:
        complain(str(error))
        return 2
    except OSError as error:  # no permission, disk full, a file where a folder should be
        complain(in_short(error))
        return 2
    except ModuleNotFoundError:
        raise
    except Exception as error:  # broad: a last line of defence, from full memory to our mistakes
        if sys.flags.dev_mode:
            raise
        what = str(error).partition("\n")[0]
        complain(f"{type(error).__name__}: {what}")
        return 2
    return 0


def drop_output() -> None:
    """What cannot be written, Python would try once more at its end, with a traceback."""
    try:
        if sys.stdout:  # it may be closed
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> Parser:
    top = Parser(prog="python -m segdemo", description="Find what is where in a picture.")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    command = commands.add_parser("models", help="list the models and where their weights are")
    command.set_defaults(run=run_models)

    command = commands.add_parser("predict", help="segment photos into files")
    command.set_defaults(run=run_predict)
    command.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="files of any kind")
    command.add_argument("--model", default="chair-unet", metavar="NAME", help="(chair-unet)")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="made if needed")
    command.add_argument(
        "--threshold", type=share, default=THRESHOLD, help=f"0..1, for the U-Nets ({THRESHOLD})"
    )
    command.add_argument(
        "--opacity", type=share, default=OPACITY, help=f"0..1, of the paint ({OPACITY})"
    )

    command = commands.add_parser("evaluate", help="score a model against true masks")
    command.set_defaults(run=run_evaluate)
    add_model_and_data(command)
    command.add_argument("--split", default="test", choices=("train", "val", "test"), help="(test)")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument("--record", action="store_true", help="write the figures into the facts")

    command = commands.add_parser("choose", help="compare input sizes and `sure` on val")
    command.set_defaults(run=run_choose)
    add_model_and_data(command)
    command.add_argument("--input-sizes", type=numbers, help="of the longer side, as 288,320")
    command.add_argument("--sures", type=probabilities, help="from 0.5, below 1, as 0.5,0.9")

    command = commands.add_parser("train", help="train a model on folders of photos and masks")
    command.set_defaults(run=run_train)
    add_model_and_data(command)
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for weights, facts and checkpoint"
    )
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    command.add_argument(
        "--workers", type=whole, help="processes that read photos (1, for a GPU up to 8)"
    )
    add_recipe(command)

    command = commands.add_parser("bench", help="measure how long everything takes here")
    command.set_defaults(run=run_bench)
    command.add_argument("models", nargs="*", metavar="NAME", help="all where none is given")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument("--chart", type=Path, metavar="FILE", help="draw the figures, an SVG")

    command = commands.add_parser("card", help="write a model's card: its figures and pictures")
    command.set_defaults(run=run_card)
    command.add_argument("model", metavar="NAME", help=NAMES)

    command = commands.add_parser("publish", help="publish weights and a Space; needs HF_TOKEN")
    command.set_defaults(run=run_publish)
    command.add_argument("--namespace", required=True, help="your name on the Hub, or a group's")
    command.add_argument("--space", action="store_true", help="the page too, as a Space")
    command.add_argument("--hardware", help="of the Space, as cpu-basic, zero-a10g or t4-small")
    command.add_argument("--dry-run", action="store_true", help="only show what would be done")
    return top


def add_model_and_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="NAME", help=NAMES)
    command.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="photos and masks; may be repeated",
    )


def add_recipe(command: argparse.ArgumentParser) -> None:
    """The fields of a Recipe."""

    def add(option: str, kind: Callable[[str], Any], told: str, **more: Any) -> None:
        default = getattr(Recipe(), option.removeprefix("--").replace("-", "_"))
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        told += f" ({shown})" if shown not in ("", {}) else ""
        command.add_argument(option, type=kind, default=default, help=told, **more)

    add("--steps", positive, "batches to learn from")
    add("--batch", positive, "photos in a batch")
    add("--sizes", numbers, "pixels of the crops, as 128,192: the steps are shared evenly")
    add("--lr", amount, "learning rate at its highest")
    add("--weight-decay", amount, "of AdamW")
    add("--encoder-lr", amount, "times --lr")
    add("--balance", share, "1: every class as often as every other, 0: as the data has it")
    add("--shares", shares, "how often each --data is drawn, as 2,1; else by its photos")
    add("--crop", share, "smallest share of a photo that is shown")
    add("--paste", share, "share of samples pasted onto other photos")
    add("--cover", share, "share of samples that are half hidden by what is on other photos")
    add("--ema", share, "of the running average that is shipped")
    add("--start", str, "go on from the weights of this network", metavar="FILE")
    add("--start-share", share, "of those weights in what is shipped; the rest is what was learned")
    add("--encoder-weights", str, "hub, none or a .safetensors file")
    command.add_argument("--freeze-encoder", action="store_true", help="leave the encoder as it is")
    add("--auxiliary", amount, "what telling 20 kinds of things apart counts beside the task")
    add("--teacher", str, "a model of ours that gives hints to the encoder")
    add("--architecture", settings, "of the network, as encoder=plain,base=32")
    add("--seed", whole, "of all that is drawn")
    add("--checks", positive, "how often to score on val and write a checkpoint")


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 on")
    return value


def whole(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {2**32 - 1}")
    return value


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def numbers(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def probabilities(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if not all(0.5 <= value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"{text} are not all from 0.5 to below 1")
    return values


def shares(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if min(values) < 0 or not 0 < sum(values) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} are no shares")
    return values


def settings(text: str) -> dict[str, Any]:
    return {key: setting(value) for key, value in (pair.split("=") for pair in text.split(","))}


def setting(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def run_models(_: argparse.Namespace) -> None:
    from .registry import MODELS
    from .weights import whereabouts

    for spec in MODELS.values():
        print(f"{spec.name:16}{spec.title}\n{'':16}{spec.finds}\n{'':16}{whereabouts(spec)}")


def run_predict(options: argparse.Namespace) -> None:
    from .files import write_whole
    from .images import BadImage
    from .predict import predict_on, read
    from .registry import find_model

    for stem, photos in Counter(photo.stem for photo in options.photos).items():
        if photos > 1:
            raise BadImage(f"Two of the photos are called {stem}: their answers would be one file.")
    spec = find_model(options.model)
    options.out.mkdir(parents=True, exist_ok=True)
    refused = []
    for photo in options.photos:
        try:
            prediction = predict_on(read(photo), spec.name, options.threshold, keep=False)
            prediction.save_mask(options.out, photo.stem)
            prediction.save_overlay(options.out, photo.stem, options.opacity)
            report = prediction.report()
            content = f"{json.dumps(report, indent=1)}\n".encode()
            write_whole(options.out / f"{photo.stem}.json", content)
        except BadImage as error:  # the others go on
            refused.append(f"{photo}: {error}")
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            refused.append(f"{photo}: Its name is too long for what is written beside it.")
            continue
        found = [f"{name} {part:.1f} %" for name, part in report["coverage"].items()]
        print(one_line(f"{photo}: {', '.join(found) or 'nothing found'}"))
    if refused:
        raise BadImage(" ".join(refused))


def run_evaluate(options: argparse.Namespace) -> None:
    from .engine import load_network
    from .evaluate import as_text, record, score
    from .registry import find_model

    spec = find_model(options.model)
    scores = score(spec, load_network(spec.name), options.data, options.split)
    print(json.dumps(scores, indent=1) if options.json else as_text(scores))
    if options.record:  # last: it may fail, and the scores took minutes
        record(spec, scores)


def run_choose(options: argparse.Namespace) -> None:
    from .choose import as_text, choices
    from .engine import load_network
    from .registry import find_model

    spec = find_model(options.model)
    sizes = options.input_sizes or (spec.input_size,)
    sures = options.sures or (spec.sure,)
    print(as_text(choices(spec, load_network(spec.name), options.data, sizes, sures)))


def run_train(options: argparse.Namespace) -> None:
    from .evaluate import as_text
    from .registry import find_model
    from .train import train

    chosen = {field.name: getattr(options, field.name) for field in dataclasses.fields(Recipe)}
    facts = train(
        find_model(options.model),
        options.data,
        options.out,
        Recipe(**chosen),
        device=options.device,
        resume=options.resume,
        workers=options.workers,
    )
    print(as_text(facts["figures"]))


def run_bench(options: argparse.Namespace) -> None:
    from .bench import as_text, bench
    from .bench.chart import chart
    from .files import write_whole
    from .registry import MODELS

    measured = bench(options.models or list(MODELS))
    print(json.dumps(measured, indent=1) if options.json else as_text(measured))
    if options.chart:
        write_whole(options.chart, chart(measured).encode())


def run_card(options: argparse.Namespace) -> None:
    from .card import write_card
    from .registry import find_model

    print(write_card(find_model(options.model)))


def run_publish(options: argparse.Namespace) -> None:
    from .publish import HARDWARE, PublishError, publish
    from .registry import MODELS

    if options.hardware not in (None, *HARDWARE):
        raise PublishError(f"There is no such hardware; there is {', '.join(HARDWARE)}.")
    if options.hardware and not options.space:
        raise PublishError("The hardware is that of the Space: give --space too.")
    publish(
        MODELS.values(),
        options.namespace,
        space=options.space,
        hardware=options.hardware,
        dry_run=options.dry_run,
    )


if __name__ == "__main__":
    sys.exit(main())
