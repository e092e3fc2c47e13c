"""Zero-cost scores: what an untrained network shows about the accuracy that it will reach, from one batch of images.

Each score is a function of (torch network, images (B, C, H, W), labels (B,)) with freshly drawn weights in training
mode; the larger, the better. Their use as scores of whole networks, and batch norm in each of them, follow Abdelfattah
et al. [ICLR 2021, "Zero-Cost Proxies for Lightweight NAS", and its published code]: batch statistics everywhere but
in `synflow`, which leaves normalisation out. Symbols: L mean cross-entropy of the batch; W the weights, parameters of
two or more axes (kernels and matrices, neither biases nor gains); g = dL/dW.

Gates as of squeeze-and-excitation are part of the network that is scored; no score removes residual connections.
float32, sums in float64; `synflow` is a product over all layers and is computed in float64.

Not modelled: ensembles of scores, several batches, scores of networks that are partly trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor

from codesign.network.module import Network
from hwmodels.errors import SpecError
from hwmodels.workload import ops

__all__ = [
    "RECTIFIERS",
    "SCORES",
    "Score",
    "fisher",
    "grad_norm",
    "grasp",
    "jacov",
    "macs",
    "naswot",
    "parameters",
    "require_rectifier",
    "snip",
    "synflow",
    "zen",
]

Score = Callable[[Network, Tensor, Tensor], float]

RECTIFIERS = ("relu", "relu6", "leaky_relu", "prelu")
"""Activations whose slope changes at zero: the sign of what enters tells the linear region."""

_JACOV_FLOOR = 1e-5  # k of jacov [Mellor et al., arXiv:2006.04647v1, sec. 3]
_ZEN_STEP = 1e-2  # alpha of the Zen-score [Lin et al., ICCV 2021, alg. 1; mixup_gamma of the published code]


def grad_norm(network: Network, images: Tensor, labels: Tensor) -> float:
    """Norms of the gradients, summed over layers [Abdelfattah et al., ICLR 2021].

    score = sum_l ||dL/dW_l||_2
    """
    return _total([gradient.double().norm() for gradient in _loss_gradients(network, images, labels)])


def snip(network: Network, images: Tensor, labels: Tensor) -> float:
    """What the loss changes by, to first order, where each weight is taken away [Lee et al., ICLR 2019].

    score = sum |W * dL/dW|
    """
    gradients = _loss_gradients(network, images, labels)
    return _total([(w * g).double().abs().sum() for w, g in zip(_weights(network), gradients, strict=True)])


def grasp(network: Network, images: Tensor, labels: Tensor) -> float:
    """What the flow of gradients loses where each weight is taken away [Wang et al., ICLR 2020].

    score = -sum W * (H g),   H g = d(g . stop(g))/dW

    Temperature 1 and this sign as in Abdelfattah et al.; the publication divides the outputs by 200 to prune.
    """
    weights = _weights(network)
    first = _gradients(_loss(network, images, labels), weights, keep_graph=True)
    flow = torch.stack([(g * g.detach()).sum() for g in first]).sum()
    if not flow.requires_grad:  # the loss depends on no weight
        return 0.0
    products = _gradients(flow, weights)
    return -_total([(w * h).double().sum() for w, h in zip(weights, products, strict=True)])


def synflow(network: Network, images: Tensor, labels: Tensor) -> float:
    """Synaptic flow: strengths of all paths through the network, each once a layer [Tanaka et al., NeurIPS 2020].

    score = sum |W| * dR/d|W|,   R = sum of the outputs for an image of ones, parameters replaced by magnitudes

    Only the shape of the images counts. Normalisation is left out. For rectifiers R is the product of the layers; other
    activations are evaluated as they are, and the law of products does not hold for them.
    """
    twin = deepcopy(network).double()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.abs_()
    weights, output = _weights(twin), twin.workload.outputs[0]
    skipped = {node.name: _identity for node in twin.nodes if isinstance(node.operator, ops.Norm)}
    ones = torch.ones((1, *images.shape[1:]), dtype=torch.float64)
    flow = twin.run([ones], replace=skipped, keep=(output,))[output].sum()
    return _total([(w * g).sum() for w, g in zip(weights, _gradients(flow, weights), strict=True)])


def fisher(network: Network, images: Tensor, labels: Tensor) -> float:
    """Fisher information of the channels [Theis et al., arXiv:1801.05787; Turner et al., BlockSwap, ICLR 2020].

    score = sum_c 1/(2 B) sum_b (sum_xy a_bcxy * dL/da_bcxy)^2

    over channels c of the outputs a of every convolution and linear layer. L is the mean over images, and channels
    count once each, not once a weight as in the code of Abdelfattah et al.
    """
    layers = [node for node in network.nodes if isinstance(node.operator, _PRODUCTS)]
    output = network.workload.outputs[0]
    values = network.run([images], keep=[*(node.name for node in layers), output])
    activations = [values[node.name] for node in layers]
    _require_weights(network, activations)
    found = []
    loss = F.cross_entropy(values[output], labels)
    for activation, gradient in zip(activations, _gradients(loss, activations), strict=True):
        flow = _channels_second((activation * gradient).detach().double())
        found.append(flow.reshape(*flow.shape[:2], -1).sum(2).square().mean(0).sum() / 2)
    return _total(found)


def jacov(network: Network, images: Tensor, labels: Tensor) -> float:
    """How little the network's slopes at different images resemble each other [Mellor et al., arXiv:2006.04647v1].

    score = -sum_i [log(v_i + k) + 1 / (v_i + k)],   v eigenvalues of corr(J),   J_b = d(sum of outputs)/d image_b

    corr(J) of as many images as an image has values, or more, is singular: zero eigenvalues, -1/k each, then outweigh
    the rest. Take fewer images. NaN where an image has no slope.
    """
    inputs = images.clone().requires_grad_()
    (jacobian,) = _gradients(network(inputs).sum(), [inputs])
    correlation = torch.corrcoef(jacobian.flatten(1).double())
    if not bool(torch.isfinite(correlation).all()):
        return math.nan
    shifted = torch.linalg.eigvalsh(correlation).clamp(min=0.0) + _JACOV_FLOOR
    return -float((shifted.log() + 1.0 / shifted).sum())


def naswot(network: Network, images: Tensor, labels: Tensor) -> float:
    """How well the patterns of active rectifiers tell images apart [Mellor et al., ICML 2021].

    score = log |det K|,   K_ij = N - d(c_i, c_j)

    c_i : which of the N rectifiers image i activates; d : Hamming distance. Two images of one pattern give -inf.

    Raises
    ------
    SpecError : a network without rectifiers.
    """
    sources = require_rectifier(network)
    with torch.no_grad():
        values = network.run([images], keep=sources)
    kernel = torch.zeros((len(images), len(images)), dtype=torch.float64)
    for source in sources:
        active = (values[source] > 0).flatten(1).double()
        kernel += active @ active.T + (1 - active) @ (1 - active).T
    if int(torch.linalg.matrix_rank(kernel, hermitian=True)) < len(kernel):  # rounding hides a determinant of zero
        return -math.inf
    return float(torch.linalg.slogdet(kernel)[1])


def zen(network: Network, images: Tensor, labels: Tensor) -> float:
    """Zen-score: how strongly features answer to a change of a random image [Lin et al., ICCV 2021].

    score = log mean_b ||f(x_b) - f(x_b + alpha e_b)||_2 + sum_k log sqrt(mean_c variance_kc)

    x, e ~ N(0, 1) of the images' shape and W ~ N(0, 1), biases 0, drawn from torch's global generator; f the features
    before the global pooling; k runs over batch norms, whose scaling the second term undoes. The publication scores
    networks without residual connections; here they stay. Other normalisations stay and are not undone. The norm is the
    publication's; its code sums magnitudes.
    """
    twin = deepcopy(network)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_()
            elif ".bias" in name:
                parameter.zero_()
        first, step = torch.randn(images.shape), torch.randn(images.shape)
        norms = [
            node.inputs[0]
            for node in twin.nodes
            if isinstance(node.operator, ops.Norm) and node.operator.mode == "batch"
        ]
        features = _features(twin)
        values = twin.run([first], keep=[features, *norms])
        moved = twin.run([first + _ZEN_STEP * step], keep=[features])[features]
        apart = (moved - values[features]).double().flatten(1).norm(dim=1).mean().log()
        scales = [_channel_variance(values[source]).mean().sqrt().log() for source in norms]
    return _total([apart, *scales])


def parameters(network: Network, images: Tensor, labels: Tensor) -> float:
    """Number of parameters: a baseline that looks at no image."""
    return float(network.workload.parameters)


def macs(network: Network, images: Tensor, labels: Tensor) -> float:
    """Multiply-accumulates an image: a baseline that looks at no image."""
    return network.workload.macs / network.workload.batch


SCORES: Mapping[str, Score] = {
    "fisher": fisher,
    "grad_norm": grad_norm,
    "grasp": grasp,
    "jacov": jacov,
    "macs": macs,
    "naswot": naswot,
    "parameters": parameters,
    "snip": snip,
    "synflow": synflow,
    "zen": zen,
}
"""Every score by its name in a run file."""

_PRODUCTS = (ops.Conv2d, ops.ConvTranspose2d, ops.Linear)


def require_rectifier(network: Network) -> list[str]:
    """Names of the nodes whose values enter rectifiers.

    Raises
    ------
    SpecError : there are none.
    """
    sources = [
        node.inputs[0]
        for node in network.nodes
        if isinstance(node.operator, ops.Activation) and node.operator.function in RECTIFIERS
    ]
    if not sources:
        raise SpecError(f"{network.workload.name}: naswot", "no rectifier", f"one of {', '.join(RECTIFIERS)}")
    return sources


def _identity(values: Tensor) -> Tensor:
    return values


def _weights(network: Network) -> list[Tensor]:
    found: list[Tensor] = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    return _require_weights(network, found)


def _require_weights(network: Network, found: list[Tensor]) -> list[Tensor]:
    if not found:
        raise SpecError(f"{network.workload.name}: weights", "none", "a layer with weights")
    return found


def _loss(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(network(images), labels)


def _loss_gradients(network: Network, images: Tensor, labels: Tensor) -> list[Tensor]:
    return _gradients(_loss(network, images, labels), _weights(network))


def _gradients(value: Tensor, of: Sequence[Tensor], *, keep_graph: bool = False) -> list[Tensor]:
    """Derivatives of `value`; zeros for what it does not depend on."""
    found = torch.autograd.grad(value, of, create_graph=keep_graph, allow_unused=True)
    return [torch.zeros_like(one) if g is None else g for one, g in zip(of, found, strict=True)]


def _total(terms: Sequence[Tensor]) -> float:
    return float(torch.stack([term.detach().double() for term in terms]).sum())


def _channels_second(values: Tensor) -> Tensor:
    """Channels of an image stand second already, those of a sequence last."""
    return values if values.dim() in (2, 4) else values.movedim(-1, 1)


def _channel_variance(values: Tensor) -> Tensor:
    """Variance of each channel over images and places, (C,)."""
    return _channels_second(values.double()).movedim(1, 0).flatten(1).var(dim=1, correction=0)


def _features(network: Network) -> str:
    """The last image of more than one pixel; what enters the last layer with weights where there is none."""
    inputs = {node.name for node in network.nodes if not node.inputs}
    large = [node.name for node in network.nodes if len(node.shape) == 4 and math.prod(node.shape[2:]) > 1]
    computed = [name for name in large if name not in inputs]
    if computed:
        return computed[-1]
    layers = [node for node in network.nodes if isinstance(node.operator, _PRODUCTS)]
    return layers[-1].inputs[0] if layers else network.nodes[-1].name
