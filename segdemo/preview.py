"""The head of the page: what a link to it looks like in a chat, its scripts and its language."""

import re
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

import gradio.routes
from jinja2 import BaseLoader, Environment
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

PICTURE = Path(__file__).parent / "examples" / "page.webp"
PLACE = "/preview.webp"
THEIRS = re.compile(r"<meta\s+(property=.og:|name=.twitter:)[^>]*>")  # Open Graph, and X's own


async def picture(_: Request) -> FileResponse:
    return FileResponse(PICTURE)


ROUTE = Route(PLACE, picture)


class Previewed(BaseLoader):
    """The templates of Gradio's page, with a preview of ours in their head.

    In a browser whose language is none of `languages`, Gradio's parts speak the first of them, as
    ours do, and of Chinese the simplified; but not as an element in somebody else's page, where
    this is not its head.

    A page with a public link is the same one as without: Gradio's own for it would load its
    scripts from elsewhere.
    """

    def __init__(
        self, theirs: BaseLoader, title: str, description: str, languages: Iterable[str]
    ) -> None:
        self.theirs = theirs
        self.ours = (
            "".join(
                f'<meta property="og:{name}" content="{content}" />'
                for name, content in {
                    "type": "website",
                    "title": escape(title),
                    "description": escape(description),
                    "image": "{{ config['root'] }}" + PLACE,  # a whole address, as it has to be
                }.items()
            )
            + '<meta name="twitter:card" content="summary_large_image" />'
            + f"<script>{{const ours = {list(languages)}, wanted = navigator.language.slice(0, 2);"
            "const spoken = wanted === 'zh' ? 'zh-CN' : ours.includes(wanted) ? '' : ours[0];"
            "const own = { language: spoken, languages: [spoken] };"
            "if (spoken) for (const [key, value] of Object.entries(own))"
            "Object.defineProperty(navigator, key, { value })}</script>"
        )

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        source, path, fresh = self.theirs.get_source(
            environment, template.replace("share.html", "index.html")
        )
        return THEIRS.sub("", source).replace("<head>", f"<head>{self.ours}", 1), path, fresh


def show_ours(title: str, description: str, languages: Iterable[str]) -> None:
    """From now on, in every page that Gradio serves."""
    environment = gradio.routes.templates.env
    assert environment.loader
    environment.loader = Previewed(environment.loader, title, description, languages)
