() => {
  const { language, make, t, translator } = window.segdemo;
  // The rest of the document may be others', with Gradio too.
  const apps = [...document.querySelectorAll("gradio-app")].filter((app) => app.querySelector("#intro"));
  for (const app of apps) app.lang = language;

  // Gradio's own parts come in English, and Gradio knows no Vietnamese: replace the texts we know.
  const own = translator(/^(said|gradio|tab)_|^(gone|photos?|camera|truth|many_(run|zip))$/);
  // Words that are missing in Gradio's English too.
  const MISSING = new Map([
    ["common.upload", "add_files"],
    ["common.complete", "complete"],
    ["image.no_webcam_support", "no_camera"],
    // Nothing is recorded.
    ["Record", "start_camera"],
    ["start recording", "start_camera"],
    ["stop recording", "gradio_stop"],
    ["This application is currently busy. Please try again.", "said_busy"],
  ]);
  const inOurs = (words) => (MISSING.has(words) ? t(MISSING.get(words)) : own(words));
  const LABELS = ["aria-label", "title", "placeholder"];
  // Our own parts are in the visitor's language; names of files and code are nobody's.
  const LEFT = ".html-container, #card, .stem, code, pre";
  if (window.__gradio_mode__ === "app") {
    document.documentElement.lang = language;
    document.title = own(document.title) ?? document.title;
  }
  const put = (node) => {
    const element = node instanceof Text ? node.parentElement : node;
    if (!(element instanceof Element)) return;
    if (element.id === "card") element.lang = "en"; // no card is translated
    if (element.closest(LEFT)) return;
    if (node instanceof Text) {
      const words = node.data.trim().replace(/\s+/g, " ");
      const ours = words && inOurs(words);
      if (ours && ours !== words) node.data = node.data.replace(/\S(.*\S)?/s, () => ours);
      return;
    }
    // Else what is read out would not tell whether the camera runs: the button's own words do.
    if (element.closest("#camera") && element.getAttribute("aria-label") === "capture photo")
      element.removeAttribute("aria-label");
    for (const label of LABELS) {
      const words = element.getAttribute(label);
      const ours = words && inOurs(words);
      if (ours && ours !== words) element.setAttribute(label, ours);
    }
  };
  const putAll = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = root; node; node = walker.nextNode()) put(node);
  };
  const watcher = new MutationObserver((changes) => {
    for (const change of changes)
      if (change.type === "childList") change.addedNodes.forEach(putAll), ended(change);
      else put(change.target);
  });
  for (const app of apps) {
    putAll(app);
    watcher.observe(app, {
      subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: LABELS,
    });
  }

  dispatchEvent(new Event("resize")); // Gradio has measured its tabs by the English words

  // A browser that gives no camera, or no clipboard, is told of by nobody else.
  let asked;
  const tell = (key) => {
    const told = asked.querySelector(".camera-told") ?? make("p", "camera-told");
    told.role = "alert";
    asked.append(told);
    told.textContent = t(key);
  };
  document.addEventListener("click", ({ target }) => {
    for (const told of document.querySelectorAll(".camera-told")) told.remove();
    asked = target.closest?.("#photo, #truth, #camera");
    onCamera = asked?.id === "camera";
    setTimeout(unseenOff, 100); // in another tab, perhaps
  }, true);
  addEventListener("unhandledrejection", (event) => {
    const { reason } = event;
    const refusals = /^(NotAllowed|NotFound|NotReadable|Overconstrained|Security)Error$/;
    // Over plain http there is no clipboard to ask.
    const none = reason instanceof TypeError && !isSecureContext;
    if (!asked || !(none || (reason instanceof DOMException && refusals.test(reason.name)))) return;
    tell("no_camera");
    event.preventDefault();
  });
  // Nor of a photo that the server reads, as HEIC, and the browser cannot show.
  document.addEventListener("error", ({ target }) => {
    if (target.matches?.("#photo img, #truth img")) target.alt = t("not_shown");
  }, true); // it does not bubble

  // Gradio would take away what is there, then look into the clipboard, and say nothing of one that
  // holds no picture.
  document.addEventListener("click", async (event) => {
    const paste = "[data-testid=source-select] button:last-child";
    if (asked?.id === "camera" || !asked?.querySelector(paste)?.contains(event.target)) return;
    event.stopPropagation();
    const place = asked;
    const items = await navigator.clipboard.read();
    const type = (item) => item.types.find((type) => type.startsWith("image/"));
    const item = items.find(type);
    if (!item) return tell("no_picture");
    const given = new DataTransfer();
    given.items.add(new File([await item.getType(type(item))], "clipboard", { type: type(item) }));
    const input = place.querySelector("input[type=file]");
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);

  // Gradio leaves a camera on when another is chosen, of which a phone may open only one at a time;
  // and when it comes so late that it is no longer on the page.
  const { mediaDevices } = navigator; // none over plain http
  const stop = (stream) => stream?.getTracks().forEach((track) => track.stop());
  const cameras = new Map();
  const open = mediaDevices?.getUserMedia.bind(mediaDevices);
  const openOne = async (wanted) => {
    const place = asked;
    if (!place) return open(wanted); // somebody else's
    stop(cameras.get(place.id));
    const stream = await open(wanted);
    cameras.set(place.id, stream);
    if (!place.isConnected || !place.querySelector("video")) stop(stream);
    return stream;
  };
  if (open) mediaDevices.getUserMedia = openOne;
  // Nor does anybody see the preview for a photo in another tab: to upload instead ends it.
  const unseenOff = () => {
    const photo = document.querySelector("#photo");
    if (photo?.querySelector("video")?.srcObject?.active && !photo.checkVisibility())
      photo.querySelector("[data-testid=source-select] button").click();
  };
  // The live camera ends by being taken off the page and put there anew: who was on it with the
  // keyboard is on it again.
  let onCamera = false;
  document.addEventListener("focusin", ({ target }) => (onCamera = Boolean(target.closest("#camera"))));
  const ended = ({ addedNodes, removedNodes }) => {
    const has = (node) => node.id === "camera" || node.querySelector?.("#camera");
    if ([...removedNodes].some(has)) document.dispatchEvent(new Event("camera-off"));
    if (!onCamera || ![...addedNodes].some(has)) return;
    setTimeout(() => {
      if (document.activeElement === document.body) document.querySelector('#camera button:not([tabindex="-1"])')?.focus();
    }, 100); // before, its buttons are not there
  };

  // A camera that faces the visitor is shown as a mirror; what it takes is not (style.css).
  const mirror = ({ target }) => {
    const place = target.closest("#photo, #camera");
    if (!place) return; // somebody else's
    place.querySelector(".camera-told")?.remove();
    const track = target.srcObject?.getVideoTracks?.()[0];
    if (!track) return;
    const facing = track.getSettings().facingMode !== "environment";
    const seen = place.id === "camera" ? document.querySelectorAll("#live-viewer canvas") : [];
    for (const picture of [target, ...seen]) picture.classList.toggle("facing", facing);
  };
  document.addEventListener("playing", mirror, true); // it does not bubble

  // Gradio leaves the timer, by which the live camera looks, when that is taken off the page. Nobody
  // else's has its period (page.py).
  const every = window.setInterval;
  let looks;
  window.setInterval = (work, period, ...rest) => {
    const timer = every(work, period, ...rest);
    if (period === 19) looks = timer;
    return timer;
  };
  document.addEventListener("camera-off", () => clearInterval(looks));

  // Gradio's camera sends what it sees every so often, whether or not that was answered; a video that
  // has no width yet, it passes over. Two frames are under way, one on the server and one in the
  // browser: more would only come late.
  const width = Object.getOwnPropertyDescriptor(HTMLVideoElement.prototype, "videoWidth").get;
  let most, underWay, sent, reading;
  let patience = 3000; // milliseconds, after which what was not answered is given up
  const begin = () => {
    most = 1; // it looks, and sends nothing, until the first is being answered
    underWay = 0;
  };
  const paced = function () {
    if (reading) return width.call(this); // it asks several times for one frame
    if (underWay && performance.now() - sent > patience) {
      if (most === 1 && patience > 3000) document.dispatchEvent(new Event("no-frames"));
      begin();
      patience *= 2; // it may be the network that is slow
    }
    if (underWay === most || document.hidden || !width.call(this)) return 0;
    underWay++;
    sent = performance.now();
    reading = true;
    queueMicrotask(() => (reading = false));
    return width.call(this);
  };
  document.addEventListener("playing", ({ target }) => {
    if (!target.closest("#camera")) return;
    begin();
    Object.defineProperty(target, "videoWidth", { get: paced, configurable: true });
  }, true);
  document.addEventListener("frames-done", ({ detail }) => {
    if (!underWay) return; // the viewer as it begins, or a frame that was given up
    underWay = most === 1 ? 0 : Math.max(0, underWay - detail);
    most = 2;
    patience = Math.max(3000, 2 * (performance.now() - sent));
  });
}
