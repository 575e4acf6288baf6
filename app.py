"""The page of segdemo: `python app.py`. A Hugging Face Space starts this file too."""

import argparse
import contextlib
import io
import logging
import os
import resource
import signal
import sys
import threading
from pathlib import Path

from segdemo.console import Parser, complain, in_short
from segdemo.quota import heed_quota

heed_quota()
# How long a thread of torch spins before it sleeps; read when torch is loaded. By default long: a
# browser on the same cores then halves the live camera's frames, and nothing is won without one.
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "2000")
# After each event Gradio would sum up its last 10,000 ones, for a dashboard that is closed here.
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"

try:
    import gradio as gr

    from segdemo.engine import ready
    from segdemo.images import MAX_BYTES, ignore_remarks
    from segdemo.logs import Metrics, MissingPackage, in_lines, set_up_logs
    from segdemo.preview import show_ours
    from segdemo.registry import MODELS
    from segdemo.service import Service, check_address, in_words, past_proxies
    from segdemo.tempfiles import Sweeper, own_folder
    from segdemo.ui import CSS, ENGLISH, HEAD, JS, TEXTS, THEME, build_page
    from segdemo.weights import WeightsError
    from segdemo.zerogpu import ZERO_GPU
except ModuleNotFoundError as error:
    told = f"{error.name} is not installed: set up the environment as README.md says"
    complain(told)
    sys.exit(2)
except KeyboardInterrupt:  # they take seconds
    sys.exit(130)

FILES = 65_536  # that may be open at once, connections among them

log = logging.getLogger("segdemo")


def warm_up() -> None:
    """Load the networks while the visitor still looks for a photo."""
    for spec in MODELS.values():
        try:
            ready(spec)
        except WeightsError as error:
            complain(str(error))
        except Exception as error:  # broad: the others may fit where this one does not
            log.error("not warmed", exc_info=error, extra={"model": spec.name})


def hold_many_connections() -> None:
    """Allow more open files than the usual 1024: each open page holds one or two."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, wanted), most))


def port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError("it must be from 1 to 65535")
    return number


def user_and_password(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("it must look like USER:PASSWORD")
    return user, password


def options_of(parser: Parser) -> argparse.Namespace:
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=port, help="port (default: the first free from 7860)")
    parser.add_argument(
        "--share",
        action="store_true",
        default=os.environ.get("GRADIO_SHARE", "").lower() == "true",
        help="ask Gradio for a public link too",
    )
    parser.add_argument(
        "--auth", type=user_and_password, metavar="USER:PASSWORD", help="who may see the page"
    )
    parser.add_argument("--root-path", help="path behind a reverse proxy, as /segdemo")
    return parser.parse_args()


def main() -> None:
    options = options_of(Parser(description="Serve the page of segdemo."))
    set_up_logs()
    ignore_remarks()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if ZERO_GPU:
        warm_up()  # networks must be on its GPU before the page is launched
    hold_many_connections()
    past_proxies(options.host)
    try:
        with own_folder() as files:
            serve(files, options, stop)
    except MissingPackage as error:
        complain(str(error))
        sys.exit(2)
    except OSError as error:  # a full disk, a damaged clone
        complain(in_short(error))
        sys.exit(2)


def serve(files: Path, options: argparse.Namespace, stop: threading.Event) -> None:
    """The page, until it is to stop. Raises MissingPackage, OSError.

    files: the folder for what visitors send and get.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(files)
    gr.mcp.DEFAULT_TEMP_DIR = str(files)  # it has read the variable already
    show_ours(ENGLISH["title"], ENGLISH["intro"], TEXTS)
    page = build_page()
    sweeper = Sweeper(files)
    service = Service(files, metrics_of(page, sweeper))
    try:
        check_address(options.host, options.port)
        launch(page, service, options)
    except OSError as error:
        complain(in_words(error, options.port))
        sys.exit(2)
    threading.Thread(target=warm_up, daemon=True).start()
    sweeper.start()
    try:
        stop.wait()
        service.drain()
    except KeyboardInterrupt:
        pass
    page.close()


def launch(page: gr.Blocks, service: Service, options: argparse.Namespace) -> None:
    """Serve the page in threads of its own, and say where it is."""
    if options.share:
        print("segdemo: asking for a public link", flush=True)
    # Without a network Gradio prints nine lines of advice; below is what matters.
    with contextlib.redirect_stdout(io.StringIO()):
        _, address, public = page.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            auth=options.auth,
            root_path=options.root_path,
            prevent_thread_lock=True,
            theme=THEME,
            css=CSS,
            head=HEAD,
            js=JS,
            max_file_size=MAX_BYTES,
            state_session_capacity=2000,  # a few words each; each call of a program is one too
            # Its tools would answer whoever asks, and store what they are sent.
            mcp_server=False if options.auth else None,
            footer_links=["api"],
            run_history=False,  # nothing of a visitor's photos stays in a shared browser
            enable_monitoring=False,
            ssr_mode=False,
            app_kwargs=service.app_kwargs,
        )
    if page.mcp_error:
        print('segdemo: there are no tools for assistants: pip install "gradio[mcp]"', flush=True)
    in_lines("uvicorn.error", "asyncio")  # which uvicorn has set up in its own way
    print(f"segdemo: the page is at {address}", flush=True)
    if public:
        print(f"segdemo: for a week it is at {public} for everybody too", flush=True)
    elif options.share:
        print("segdemo: there is no public link, Gradio's tunnel cannot be reached", flush=True)


def metrics_of(page: gr.Blocks, sweeper: Sweeper) -> Metrics | None:
    """What /metrics serves, where SEGDEMO_METRICS=1 asks for it."""
    if os.environ.get("SEGDEMO_METRICS") != "1":
        return None
    return Metrics(
        {
            "queue": ("Requests that wait for their turn", lambda: len(page._queue)),
            "file_bytes": ("Visitors' photos and answers on disk", lambda: sweeper.bytes),
        }
    )


if __name__ == "__main__":
    status = 0
    try:
        main()
    except KeyboardInterrupt:  # before the page is there
        status = 130
    with contextlib.suppress(AttributeError, OSError):  # it may be closed, or nobody reads it
        sys.stdout.flush()
    # Not sys.exit: a thread that is inside torch just then would abort the interpreter.
    os._exit(status)
