"""The page of segdemo: `python app.py`. A Hugging Face Space starts this file too."""

import argparse
import os
import signal
import sys
import tempfile
import threading

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from segdemo.engine import ready
from segdemo.images import MAX_BYTES
from segdemo.registry import MODELS
from segdemo.ui import CSS, THEME, build_page
from segdemo.weights import WeightsError


def healthz(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "models": list(MODELS)})


def warm_up() -> None:
    """Load the networks while the visitor still looks for a photo."""
    for spec in MODELS.values():
        try:
            ready(spec)
        except WeightsError as error:
            print(f"segdemo: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the page of segdemo.")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free from 7860)")
    options = parser.parse_args()

    threading.Thread(target=warm_up, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the photos go then too
    with tempfile.TemporaryDirectory(prefix="segdemo-") as files:
        os.environ["GRADIO_TEMP_DIR"] = files
        build_page().launch(
            server_name=options.host,
            server_port=options.port,
            theme=THEME,
            css=CSS,
            max_file_size=MAX_BYTES,
            state_session_capacity=100,  # some 10 MB each; whoever is beyond runs the network again
            footer_links=["api", "settings"],
            run_history=False,  # nothing of a visitor's photos stays in a shared browser
            ssr_mode=False,
            app_kwargs={"routes": [Route("/healthz", healthz)]},
        )


if __name__ == "__main__":
    main()
