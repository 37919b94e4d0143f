"""The passes that targets make graphs legal with; plug-ins import them from here.

Importing this module imports ``onnx_ir``: a target's ``lowering`` does so when it is called, not before, so that
listing targets stays fast.
"""

from depthdeploy.graph.passes.attention_decomposition import AttentionDecomposition
from depthdeploy.graph.passes.explicit_padding import ExplicitPadding
from depthdeploy.graph.passes.gelu_decomposition import GeluDecomposition
from depthdeploy.graph.passes.gelu_fusion import GeluFusion
from depthdeploy.graph.passes.gelu_respelling import GeluRespelling
from depthdeploy.graph.passes.instance_norm_decomposition import InstanceNormDecomposition
from depthdeploy.graph.passes.layer_norm_decomposition import LayerNormDecomposition
from depthdeploy.graph.passes.layer_norm_fusion import LayerNormFusion
from depthdeploy.graph.passes.resize_as_conv_transpose import ResizeAsConvTranspose
from depthdeploy.graph.passes.resize_as_matmul import ResizeAsMatMul
from depthdeploy.graph.passes.resize_as_repeat import ResizeAsRepeat
from depthdeploy.graph.passes.resize_explicit import ResizeExplicit
from depthdeploy.graph.passes.resize_integer_factor import ResizeIntegerFactor
from depthdeploy.graph.passes.resize_stages import ResizeStages
from depthdeploy.graph.passes.rms_norm_decomposition import RmsNormDecomposition
from depthdeploy.graph.passes.softmax_axis_last import SoftmaxAxisLast
from depthdeploy.graph.passes.softmax_decomposition import SoftmaxDecomposition

__all__ = [
    "AttentionDecomposition",
    "ExplicitPadding",
    "GeluDecomposition",
    "GeluFusion",
    "GeluRespelling",
    "InstanceNormDecomposition",
    "LayerNormDecomposition",
    "LayerNormFusion",
    "ResizeAsConvTranspose",
    "ResizeAsMatMul",
    "ResizeAsRepeat",
    "ResizeExplicit",
    "ResizeIntegerFactor",
    "ResizeStages",
    "RmsNormDecomposition",
    "SoftmaxAxisLast",
    "SoftmaxDecomposition",
]
