"""What the server writes down: a line of JSON for each answer and error, and figures if asked."""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Mapping

from . import errors

log = logging.getLogger("segdemo")

# What a record may tell besides its message: no photo, no file name, no address is among them.
FIELDS = ("request", "model", "milliseconds", "kind")


class AsJson(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        request = errors.current_request()
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "request": request and request.id,
        }
        line |= {field: getattr(record, field) for field in FIELDS if hasattr(record, field)}
        if record.exc_info:
            kind, _, trace = record.exc_info
            # Not what the error says, which may hold the name of a photo.
            line["exception"] = "".join(traceback.format_tb(trace)) + getattr(kind, "__name__", "")
        return json.dumps({key: value for key, value in line.items() if value is not None})


def set_up_logs() -> None:
    """Lines of JSON on stderr, from us and from Gradio."""
    in_lines("segdemo")
    log.setLevel(logging.INFO)
    traceback.print_exc = gradio_failed


def in_lines(*names: str) -> None:
    """The same from other loggers, whatever they were set up for."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(AsJson())
    lines.setLevel(logging.INFO)
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [lines], False


def gradio_failed(*_: object, **__: object) -> None:
    """In the place of traceback.print_exc, Gradio's way, which prints what visitors sent."""
    error = sys.exc_info()[1]
    log.error("failed in gradio", exc_info=error, extra={"kind": type(error).__name__})


class MissingPackage(RuntimeError):
    """Something that was asked for is not installed. str(e) is one plain sentence."""


class Metrics(logging.Handler):
    """Counts what is logged, for Prometheus. Raises MissingPackage.

    gauges: a description by name, and what tells the present value.
    """

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        super().__init__()
        try:
            import prometheus_client as prometheus
        except ImportError as error:
            raise MissingPackage(
                "Metrics need a package that is not here: pip install prometheus-client"
            ) from error
        registry = self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)  # memory, file descriptors, CPU
        self.answers = prometheus.Counter(
            "segdemo_answers", "Photos segmented", ["model"], registry=registry
        )
        self.errors = prometheus.Counter(
            "segdemo_errors", "Requests refused or failed", ["kind"], registry=registry
        )
        self.stages = prometheus.Histogram(
            "segdemo_stage_seconds", "Time by stage of an answer", ["stage"], registry=registry
        )
        for name, (description, value) in gauges.items():
            gauge = prometheus.Gauge(f"segdemo_{name}", description, registry=registry)
            gauge.set_function(value)
        self.text, self.content_type = prometheus.generate_latest, prometheus.CONTENT_TYPE_LATEST
        log.addHandler(self)
        log.setLevel(logging.DEBUG)  # stages are told at that level

    def emit(self, record: logging.LogRecord) -> None:
        event, facts = record.getMessage(), vars(record)
        if event == "answered":
            self.answers.labels(facts["model"]).inc()
        elif event == "stage":
            self.stages.labels(facts["stage"]).observe(facts["seconds"])
        elif "kind" in facts:
            self.errors.labels(facts["kind"]).inc()

    def page(self) -> bytes:
        """The figures in the format of Prometheus."""
        return self.text(self.registry)
