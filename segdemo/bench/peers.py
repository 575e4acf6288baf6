"""The same weights under other engines, where these are installed: yardsticks, not dependencies."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[], object]


def peers(network: nn.Module, x: Tensor) -> dict[str, Run]:
    """Runs of a float32 network on `x`, float32 [1, 3, h, w], by the name of the engine."""
    if x.device.type != "cpu":
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing
        return dict(found(network, x))


def found(network: nn.Module, x: Tensor) -> Iterator[tuple[str, Run]]:
    if find_spec("openvino"):
        for precision in ("bf16", "f32"):
            yield f"OpenVINO {precision}", openvino(network, x, precision)
    if find_spec("onnxruntime") and find_spec("onnx"):
        yield "ONNX Runtime f32", onnx_runtime(network, x)
    if find_spec("ai_edge_litert") and find_spec("litert_torch"):
        yield "LiteRT f32", litert(network, x)


def openvino(network: nn.Module, x: Tensor, precision: str) -> Run:
    import openvino as ov

    model = ov.convert_model(network, example_input=x, input=[x.shape])
    wishes = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled: Any = ov.Core().compile_model(model, "CPU", wishes)
    return lambda: compiled(x.numpy())


def onnx_runtime(network: nn.Module, x: Tensor) -> Run:
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (x,), path, input_names=["x"], dynamo=False)
        content = path.read_bytes()
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Else its threads go on turning while the next engine is measured.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x.numpy()})


def litert(network: nn.Module, x: Tensor) -> Run:
    """Its conversion takes most of a minute."""
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter

    litert_torch.config.show_progress = False  # on stdout, where --json writes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        litert_torch.convert(network, (x,)).export(str(path))
        content = path.read_bytes()
    engine = Interpreter(model_content=content, num_threads=torch.get_num_threads())
    engine.allocate_tensors()
    given, answer = (
        one[0]["index"] for one in (engine.get_input_details(), engine.get_output_details())
    )

    def run() -> object:
        engine.set_tensor(given, x.numpy())
        engine.invoke()
        return engine.get_tensor(answer)

    return run
