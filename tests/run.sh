#!/bin/sh
# From a bare Debian or Ubuntu (python3, venv, pip) to lint, types and tests, in .venv.
set -eu
cd "$(dirname "$0")/.."

python3 -m venv .venv
.venv/bin/pip install -q -r requirements.txt -r tests/requirements.txt

# What the tests use besides Python. Tests skip what cannot be had.
as_root=$([ "$(id -u)" = 0 ] || echo sudo)
missing=
command -v curl > /dev/null || missing="$missing curl"
[ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v npm > /dev/null || missing="$missing nodejs npm"
if [ "$missing" ]; then
    $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends $missing ||
        echo "not installed:$missing"
fi
npm install --silent --no-audit --no-fund --prefix .venv/js @gradio/client@2 ||
    echo "not installed: @gradio/client"

# The page is tested in a real browser: Debian's Chromium, elsewhere Playwright's own.
own=$(.venv/bin/python -c '
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)')
if [ ! -x /usr/bin/chromium ] && [ ! -x "$own" ]; then
    if grep -q '^ID=debian' /etc/os-release; then
        $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends chromium
    else
        .venv/bin/playwright install --with-deps chromium
    fi || echo "not installed: chromium"
fi

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/python -m pytest "$@"
