"""The page of segdemo."""

from .components import TEXTS
from .page import ENGLISH, build_page
from .theme import CSS, HEAD, JS, THEME

__all__ = ["CSS", "ENGLISH", "HEAD", "JS", "TEXTS", "THEME", "build_page"]
