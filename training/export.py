"""The trained parameters as an ONNX graph, its tables in eight bits, the calibration in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore] # only where training runs
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found, unused-ignore]

from interlock.detect.injection.classifier import GRAMS
from interlock.detect.injection.tokens import COLUMNS
from training.network import DILATIONS, HIDDEN, MAX_PULL

OPSET = 17


def export(params: Mapping[str, Any], calibration: Mapping[str, Any]) -> bytes:
    """The graph: `rows` and `grams` of n tokens in, `look` and `pull` out."""
    kept = []
    nodes = []

    def constant(name: str, value: Any, kind: Any = np.float32) -> str:
        kept.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype=kind)), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    table = np.asarray(params["table"])
    scale = np.abs(table).max(0) / 127.0
    constant("table", np.round(table / scale), np.int8)
    grams = np.asarray(params["grams"])
    gram_scale = max(float(np.abs(grams).max()), 1e-9) / 127.0
    constant("grams_table", np.round(grams / gram_scale), np.int8)

    node("Gather", ["table", "rows"], "found8", axis=0)
    node("Cast", ["found8"], "found", to=TensorProto.FLOAT)
    node("ReduceSum", ["found", constant("axis1", [1], np.int64)], "summed", keepdims=0)
    # The scale of a column goes into the first matrix.
    node("MatMul", ["summed", constant("in", scale[:, None] * np.asarray(params["in"]))], "in0")
    node("Add", ["in0", constant("in_bias", params["in_bias"])], "in1")
    node("Relu", ["in1"], "flat")
    node("Transpose", ["flat"], "turned", perm=[1, 0])
    h = node("Unsqueeze", ["turned", constant("axis0", [0], np.int64)], "h0")  # [1, HIDDEN, n]
    for n, by in enumerate(DILATIONS):
        taps = np.asarray(params[f"taps{n}"]).T[:, None, :]  # [HIDDEN, 1, 3]
        y = node("Conv", [h, constant(f"taps{n}", taps)], f"y{n}", dilations=[by], pads=[by, by], group=HIDDEN)
        mix = np.asarray(params[f"mix{n}"]).T[:, :, None]
        both = node("Conv", [y, constant(f"mix{n}", mix), constant(f"mix_bias{n}", params[f"mix_bias{n}"])], f"both{n}")
        nodes.append(helper.make_node("Split", [both], [f"value{n}", f"gate{n}"], axis=1))
        node("Tanh", [f"value{n}"], f"tanh{n}")
        node("Sigmoid", [f"gate{n}"], f"open{n}")
        node("Mul", [f"tanh{n}", f"open{n}"], f"step{n}")
        h = node("Add", [h, f"step{n}"], f"h{n + 1}")
    heads = np.stack([np.asarray(params["look"]), np.asarray(params["pull"])])[:, :, None]  # [2, HIDDEN, 1]
    bias = np.array([float(params["look_bias"]), 0.0])
    node("Conv", [h, constant("heads", heads), constant("heads_bias", bias)], "heads_out")
    nodes.append(helper.make_node("Split", ["heads_out"], ["look0", "pull0"], axis=1))
    shape = constant("line", [-1], np.int64)
    node("Reshape", ["look0", shape], "look1")
    node("Reshape", ["pull0", shape], "pull1")
    node("Gather", ["grams_table", "grams"], "weighed8", axis=0)
    node("Cast", ["weighed8"], "weighed0", to=TensorProto.FLOAT)
    node("ReduceSum", ["weighed0", "axis1"], "weighed1", keepdims=0)
    node("Mul", ["weighed1", constant("gram_scale", [gram_scale])], "weighed")
    node("Add", ["look1", "weighed"], "look")
    node("Clip", ["pull1", constant("low", -MAX_PULL), constant("high", MAX_PULL)], "pull")

    graph = helper.make_graph(
        nodes,
        "injection",
        [
            helper.make_tensor_value_info("rows", TensorProto.INT32, ["n", COLUMNS]),
            helper.make_tensor_value_info("grams", TensorProto.INT32, ["n", GRAMS]),
        ],
        [
            helper.make_tensor_value_info("look", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("pull", TensorProto.FLOAT, ["n"]),
        ],
        kept,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="interlock")
    model.ir_version = 9
    helper.set_model_props(model, {"calibration": json.dumps(calibration, sort_keys=True)})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
