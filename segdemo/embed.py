"""The page inside other pages: what their authors paste, for a page that runs at `address`."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

# Gradio's web component, of the version that runs here; its parts lie beside it, in /assets.
COMPONENT = str(files("gradio").joinpath("templates/frontend/gradio.js"))


async def component(_: Request) -> FileResponse:
    return FileResponse(COMPONENT, media_type="text/javascript")


ROUTE = Route("/gradio.js", component)


def iframe(address: str) -> str:
    """HTML of a frame with the page; without `allow` the webcam in it stays dark."""
    return (
        f'<iframe src="{address}" title="segdemo" allow="camera; clipboard-read; clipboard-write"'
        ' width="100%" height="900" style="border: 0"></iframe>'
    )


def web_component(address: str) -> str:
    """HTML of the page as an element of another page, as high as what is in it."""
    address = address.rstrip("/")
    return (
        f'<script type="module" src="{address}/gradio.js"></script>\n'
        f'<gradio-app src="{address}/"></gradio-app>'
    )
