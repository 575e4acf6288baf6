"""The page of segdemo. Besides app.py, only what is in this folder imports gradio."""

from .page import build_page
from .theme import CSS, HEAD, JS, THEME

__all__ = ["CSS", "HEAD", "JS", "THEME", "build_page"]
