"""The page: layout first, wiring last."""

from typing import Any

import gradio as gr

from ..console import OPACITY, THRESHOLD
from ..embed import iframe, web_component
from ..registry import MODELS
from . import answers, examples, figures, models
from .api import add_endpoints
from .components import HERE, TEXTS, drawn
from .inputs import Photo, Share

ENGLISH = TEXTS["en"]  # page.js puts the visitor's language in its place
LIVE_SECONDS = 120
QUEUE = 64  # who would be further back is told at once that the page is busy

# Events of the page are no endpoints for programs. Those that may run a network wait in its queue.
AT_ONCE: dict[str, Any] = {"api_visibility": "private", "queue": False}
NETWORK: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "network"}

# What an event shows that never ran: the queue was full, or the server is away.
NOT_ANSWERED = "{ error: 'not_answered' }"
# What happens to a part in the browser. What needs no server does not ask it: after one request
# that fails, for want of a network, Gradio loads the page anew, and photo and answer are gone.
AS_IT_IS = "{ __type__: 'update' }"
TAKEN_OFF = "{ __type__: 'update', visible: false }"
# Without a value, as the last frame would stand in the place of what the camera sees.
PUT_ON = "{ __type__: 'update', visible: true, value: null }"

SNIPPETS = {path.stem: path.read_text("utf-8") for path in (HERE / "snippets").glob("*.txt")} | {
    "embed": iframe("{place}/"),
    "element": web_component("{place}"),
}


def camera(width: int, height: int) -> gr.WebcamOptions:
    """The one on a phone's back. Not mirrored, which would turn the pixels: page.js does it."""
    size = {"width": {"ideal": width}, "height": {"ideal": height}}
    return gr.WebcamOptions(
        mirror=False, constraints={"video": {"facingMode": {"ideal": "environment"}, **size}}
    )


def build_page() -> gr.Blocks:
    """The page, wired and ready to be launched."""
    with gr.Blocks(
        title="segdemo: what is where in your photo?",
        analytics_enabled=False,
        delete_cache=(1800, 3600),  # seconds: look every half hour, delete what is an hour old
    ) as page:
        add_endpoints()  # first, so that their names are free
        drawn("words", '<h1 data-t="title"></h1><p data-t="intro"></p>', elem_id="intro")
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab(ENGLISH["tab_photo"]) as photo_tab:
                model = add_photo_tab()
            with gr.Tab(ENGLISH["tab_live"]) as live_tab:
                frames = add_live_tab()
            with gr.Tab(ENGLISH["tab_many"]) as many_tab:
                add_many_tab()
            with gr.Tab(ENGLISH["tab_models"]) as models_tab:
                add_models_tab(models_tab)
            with gr.Tab(ENGLISH["tab_code"]) as code_tab:
                add_code_tab(code_tab, model)
        for tab in (photo_tab, many_tab, models_tab, code_tab):
            tab.select(None, None, frames, js=f"() => ({TAKEN_OFF})")
        live_tab.select(None, None, frames, js=f"() => ({PUT_ON})")
        drawn("words", '<p data-t="privacy"></p>', elem_id="privacy")
    # Closed to calls that would pass by the queue.
    page.queue(max_size=QUEUE, default_concurrency_limit=2, api_open=False)
    return page


def choice(elem_id: str) -> gr.HTML:
    """Which model; the value is its name."""
    known = [{"name": s.name, "title": s.title, "finds": s.finds} for s in MODELS.values()]
    return drawn("choice", value=next(iter(MODELS)), models=known, elem_id=elem_id)


def viewer(elem_id: str, *, live: bool) -> gr.HTML:
    """The photo with what was found; the value is what answers.answer returns."""
    waiting = "waiting_live" if live else "waiting"
    return drawn(
        "viewer",
        elem_id=elem_id,
        live=live,
        waiting=waiting,
        opacity=OPACITY,
        threshold=THRESHOLD,
    )


def add_photo_tab() -> gr.HTML:
    """One photo, seen in every way. Returns the choice of the model."""
    # In the browser, and no gr.State: that is lost after an hour, or when a phone was asleep.
    threshold = Share(0, 1, THRESHOLD, label="threshold", visible="hidden")
    names = gr.JSON(visible="hidden")  # what the values of the true mask stand for, if it is known
    open_tab = gr.Textbox("see", visible="hidden")
    asked = gr.Number(0, visible="hidden")  # counts how often there was something to look at
    changes = gr.Number(0, visible="hidden")  # counts how often what is open went out of date
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280, scale=2):
            photo = Photo(
                label=ENGLISH["photo"],
                sources=["upload", "webcam", "clipboard"],
                height=320,
                webcam_options=camera(1280, 960),
                buttons=["fullscreen"],
                elem_id="photo",
            )
            model = choice("model")
            shelf = drawn("shelf", value=examples.shelf(), elem_id="shelf")
        with gr.Column(min_width=280, scale=3), gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab(ENGLISH["tab_see"]) as see_tab:
                seen = viewer("viewer", live=False)
                download = drawn("download", template="", visible="hidden")
            with gr.Tab(ENGLISH["tab_compare"]) as compare_tab:
                compared = drawn("figures", waiting="waiting_compare", elem_id="compared")
            with gr.Tab(ENGLISH["tab_score"]) as score_tab:
                truth = Photo(
                    label=ENGLISH["truth"],
                    sources=["upload", "clipboard"],
                    height=160,
                    elem_id="truth",
                )
                scored = drawn("figures", waiting="waiting_score", elem_id="scored")
            with gr.Tab(ENGLISH["tab_inside"]) as inside_tab:
                inside = drawn("figures", waiting="waiting_inside", elem_id="inside")

    rest = [compared, scored, inside]
    # One event for all causes, so that answers come in order and the last one counts. An example
    # is two causes in one moment: both count from the same number. With the photo among what is
    # counted for, they wait until it is uploaded.
    causes = [photo.change, model.change, seen.retry]
    gr.on(causes, None, [asked, photo], asked, js="(n) => n + 1")
    looked = asked.change(
        answers.look,
        [photo, model],
        seen,
        trigger_mode="always_last",
        show_progress_on=[seen, *rest],
        **NETWORK,
    )
    # The other tabs are worked out when they are looked at, and again after a change; but not
    # while weights are fetched.
    no_answer = f"(photo) => Array(4).fill(photo && {NOT_ANSWERED})"
    looked.failure(None, photo, [seen, *rest], js=no_answer)
    state = [changes, open_tab]
    looked.then(
        None,
        [*state, seen],
        [changes, *rest],
        js=f"""(n, tab, answer) => [
            n + (tab !== 'see' && !answer?.again),
            ...Array(3).fill(answer?.again ? {{ error: answer.error }} : {AS_IT_IS}),
        ]""",
    )
    gr.on(
        [truth.change, names.change], None, state, changes, js="(n, tab) => n + (tab === 'score')"
    )
    threshold.change(None, state, changes, js="(n, tab) => n + ['compare', 'score'].includes(tab)")
    tabs = {"see": see_tab, "compare": compare_tab, "score": score_tab, "inside": inside_tab}
    for name, tab in tabs.items():
        opened = f"n => ['{name}', n + {int(tab is not see_tab)}, null, null, null]"
        tab.select(None, changes, [open_tab, changes, *rest], js=opened)
    worked = changes.change(
        figures.of_open_tab,
        [open_tab, photo, model, truth, names, threshold],
        rest,
        trigger_mode="always_last",
        **NETWORK,
    )
    worked.failure(None, None, rest, js=f"() => Array(3).fill({NOT_ANSWERED})")
    seen.take(
        answers.take,
        [photo, model],
        download,
        show_progress_on=seen,
        trigger_mode="multiple",  # none of two clicks in a row is lost
        **NETWORK,
    )
    at_rest = "() => Number(document.querySelector('#viewer .threshold input').value)"
    seen.settle(None, None, threshold, js=at_rest)
    # What comes from an example goes when the visitor brings something. Who brings both may begin
    # with the mask; and Gradio clears, before a camera is chosen, what is empty too.
    without_example = f"(names) => Array(2).fill(names ? null : {AS_IT_IS})"
    gr.on([photo.upload, photo.clear], None, names, [truth, names], js=without_example)
    gr.on([truth.upload, truth.clear], None, None, names, js="() => null")
    chosen = [photo, model, truth, names]
    picked = shelf.pick(examples.pick, None, chosen, trigger_mode="multiple", **AT_ONCE)
    picked.failure(None, None, seen, js=f"() => ({NOT_ANSWERED})")
    return model


def add_live_tab() -> gr.Image:
    """Returns the camera, which runs while it is on the page."""
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280, scale=2):
            frames = Photo(
                label=ENGLISH["camera"],
                sources=["webcam"],
                streaming=True,
                height=320,
                webcam_options=camera(640, 480),
                elem_id="camera",
            )
            model = choice("live-model")
            drawn("words", '<p data-t="live_limit"></p>', elem_classes="note")
        with gr.Column(min_width=280, scale=3):
            seen = viewer("live-viewer", live=True)
    live = frames.stream(
        answers.frame,
        [frames, model],
        seen,
        stream_every=0.019,  # page.js lets through no more than are answered, and knows it by this
        time_limit=LIVE_SECONDS,
        concurrency_id="live",
        concurrency_limit=8,  # they share the device frame by frame
        show_progress="hidden",
        api_visibility="private",
    )
    # Gradio's camera runs on, and sends, when its time is over, after Stop and in another tab: it
    # ends when it is taken off the page.
    for ended in (live.then, live.failure):
        off = ended(None, None, frames, js=f"() => ({TAKEN_OFF})")
        off.then(None, None, frames, js=f"() => ({PUT_ON})")
    live.failure(None, None, seen, js="() => ({ error: 'not_answered_live' })")
    return frames


def add_many_tab() -> None:
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280, scale=2):
            photos = gr.File(
                label=ENGLISH["photos"], file_count="multiple", height=220, elem_id="photos"
            )
            model = choice("many-model")
            run = gr.Button(ENGLISH["many_run"], variant="primary", elem_id="many-run")
        with gr.Column(min_width=280, scale=3):
            done = drawn("figures", waiting="waiting_many", elem_id="many")
            bundle = gr.DownloadButton(ENGLISH["many_zip"], visible=False, elem_id="bundle")
    run.click(
        figures.many,
        [photos, model],
        [done, bundle],
        **NETWORK,
    )


def add_models_tab(tab: gr.Tab) -> None:
    drawn("words", '<p data-t="models_intro"></p>')
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280, scale=2):
            model = choice("card-model")
            facts = drawn("model", elem_id="facts")
        with gr.Column(min_width=280, scale=3):
            card = gr.Markdown(elem_id="card")
    gr.on(
        [tab.select, model.change],
        models.present,
        model,
        [facts, card],
        trigger_mode="always_last",
        **AT_ONCE,
    )


def add_code_tab(tab: gr.Tab, model: gr.HTML) -> None:
    snippets = drawn("snippets", value=next(iter(MODELS)), snippets=SNIPPETS, elem_id="snippets")
    tab.select(None, model, snippets, js="(name) => name")
