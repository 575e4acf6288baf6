"""The page of segdemo."""

from .page import build_page
from .theme import CSS, HEAD, JS, THEME

__all__ = ["CSS", "HEAD", "JS", "THEME", "build_page"]
