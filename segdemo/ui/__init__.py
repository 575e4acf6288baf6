"""The page of segdemo."""

from .page import ENGLISH, build_page
from .theme import CSS, HEAD, JS, THEME

__all__ = ["CSS", "ENGLISH", "HEAD", "JS", "THEME", "build_page"]
