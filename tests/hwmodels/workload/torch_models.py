"""Torch modules in the styles of the libraries that users bring them from, small enough to trace in a second.

`MODELS` maps a name to a function that returns (module, example inputs) on whatever device is the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Made = tuple[nn.Module, Any]


class DropPath(nn.Module):
    """Stochastic depth: nothing at evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * torch.bernoulli(torch.full((x.shape[0], 1, 1, 1), 0.9, device=x.device))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)
        self.act, self.gate = nn.ReLU(inplace=True), nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.expand(self.act(self.reduce(y))))


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.expand, self.bn1 = nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, padding="same", groups=hidden, bias=False)
        self.bn2, self.act, self.se = nn.BatchNorm2d(hidden), nn.Hardswish(inplace=True), SqueezeExcite(hidden)
        self.project, self.bn3 = nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.expand(x)))
        y = self.se(self.act(self.bn2(self.depthwise(y))))
        return self.drop_path(self.bn3(self.project(y))) + x


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn, self.act = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
        self.blocks = nn.Sequential(InvertedResidual(8, 3), InvertedResidual(8, 5), InvertedResidual(8, 4))
        self.pool, self.drop, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.2), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.act(self.bn(self.stem(x))))
        return self.classifier(self.drop(torch.flatten(self.pool(x), 1)))


class ResNet(nn.Module):
    """Basic blocks with in-place activations and sums, a projected shortcut, an adaptive pool that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.downsample = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.same, self.avgpool, self.fc = nn.AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        y = self.bn2(self.conv2(x))
        y += self.downsample(x)
        return self.fc(self.avgpool(self.same(self.relu(y))).flatten(1))


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(4 + 4 * i), nn.ReLU(inplace=True), nn.Conv2d(4 + 4 * i, 4, 3, padding=1))
            for i in range(3)
        )
        self.transition = nn.Sequential(nn.Conv2d(16, 8, 1), nn.AvgPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return self.transition(torch.cat(features, 1))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, 2, 1)
        self.up = nn.ConvTranspose2d(16, 8, 4, 2, 1, output_padding=0)
        self.up1d = nn.ConvTranspose1d(8, 4, 2, 2, groups=2, bias=False)
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.down1(x))
        b = F.leaky_relu(self.down2(a), 0.1)
        up = torch.cat([self.up(b), a[:, :, : 2 * b.shape[2]]], dim=1)
        logits = F.interpolate(self.out(up), scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.log_softmax(logits, dim=1) + self.up1d(a.mean(2)).mean()


@dataclass
class Encoded:
    """A structured result, as transformer libraries return."""

    last: Tensor
    pooled: Tensor


class EncoderLayer(nn.Module):
    def __init__(self, features: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.query, self.key, self.value = (nn.Linear(features, features) for _ in range(3))
        self.dense, self.norm1 = nn.Linear(features, features), nn.LayerNorm(features)
        self.up, self.down, self.norm2 = nn.Linear(features, 64), nn.Linear(64, features), nn.LayerNorm(features)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, tokens, features = x.shape
        split = (batch, tokens, self.heads, features // self.heads)
        q, k, v = (part(x).view(split).transpose(1, 2) for part in (self.query, self.key, self.value))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(split[-1])
            y = torch.matmul(self.dropout(torch.softmax(scores + mask, dim=-1)), v)
        y = y.transpose(1, 2).contiguous().view(batch, tokens, features)
        x = self.norm1(x + self.dropout(self.dense(y)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    """BERT's shape: three embeddings, an extended mask, a pooler; a dataclass as the result."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.words, self.positions, self.types = nn.Embedding(50, 32), nn.Embedding(16, 32), nn.Embedding(2, 32)
        self.register_buffer("position_ids", torch.arange(16).unsqueeze(0), persistent=False)
        self.norm = nn.LayerNorm(32)
        self.layers = nn.ModuleList(EncoderLayer(32, 4, fused) for _ in range(2))
        self.pooler = nn.Linear(32, 32)
        self.unused = nn.Parameter(torch.zeros(7))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        tokens = input_ids.shape[1]
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * torch.finfo(torch.float32).min
        x = self.words(input_ids) + self.positions(self.position_ids[:, :tokens])
        x = self.norm(x + self.types(torch.zeros_like(input_ids)))
        for layer in self.layers:
            x = layer(x, mask)
        return Encoded(last=x, pooled=torch.tanh(self.pooler(x[:, 0])))


class RMSNorm(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6))


def rotate_half(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


class DecoderLayer(nn.Module):
    def __init__(self, features: int, heads: int, groups: int, style: str) -> None:
        super().__init__()
        self.heads, self.groups, self.width, self.style = heads, groups, features // heads, style
        self.q_proj = nn.Linear(features, features, bias=False)
        self.k_proj = nn.Linear(features, groups * self.width, bias=False)
        self.v_proj = nn.Linear(features, groups * self.width, bias=False)
        self.o_proj = nn.Linear(features, features, bias=False)
        self.gate_proj, self.up_proj = (nn.Linear(features, 64, bias=False) for _ in range(2))
        self.down_proj, self.act_fn = nn.Linear(64, features, bias=False), nn.SiLU()
        self.input_norm, self.post_norm = RMSNorm(features), RMSNorm(features)

    def repeat(self, x: Tensor) -> Tensor:
        batch, groups, tokens, width = x.shape
        if self.style == "copy":
            return x.repeat_interleave(self.heads // groups, dim=1)
        wide = x[:, :, None, :, :].expand(batch, groups, self.heads // groups, tokens, width)
        return wide.reshape(batch, self.heads, tokens, width)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        if self.style == "grouped":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        k, v = self.repeat(k), self.repeat(v)
        if self.style == "fused":
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        scores = torch.matmul(q, k.transpose(2, 3)) * self.width**-0.5
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return torch.matmul(F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype), v)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        batch, tokens, features = x.shape
        y = self.input_norm(x)
        q, k, v = (
            part(y).view(batch, tokens, -1, self.width).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = (part * cos + rotate_half(part) * sin for part in (q, k))
        y = self.attend(q, k, v, mask).transpose(1, 2).reshape(batch, tokens, features)
        x = x + self.o_proj(y)
        y = self.post_norm(x)
        return x + self.down_proj(self.act_fn(self.gate_proj(y)) * self.up_proj(y))


class Decoder(nn.Module):
    """Llama's shape: rotary positions, grouped queries, a gated feed-forward network, a tied head; a cache beside."""

    def __init__(self, *, style: str) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.layers = nn.ModuleList(DecoderLayer(32, 4, 2, style) for _ in range(2))
        self.norm, self.head = RMSNorm(32), nn.Linear(32, 50, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("frequencies", 1.0 / 10000 ** (torch.arange(0, 8, 2) / 8), persistent=False)

    def forward(self, input_ids: Tensor) -> dict[str, Any]:
        tokens = input_ids.shape[1]
        with torch.autocast("cpu", enabled=False):
            angles = torch.arange(tokens, device=input_ids.device)[:, None] * self.frequencies[None]
            table = torch.cat((angles, angles), dim=-1)
            cos, sin = table.cos(), table.sin()
        mask = torch.full((tokens, tokens), 1, device=input_ids.device).tril().bool()
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return {"logits": self.head(self.norm(x)), "cache": object()}


class Torchformer(nn.Module):
    """torch's own layers, batch second and batch first, self- and cross-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True, activation="gelu"),
            num_layers=2,
            enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)
        self.cross = nn.MultiheadAttention(16, 2, kdim=16, vdim=16, batch_first=True)
        self.latents = nn.Parameter(torch.zeros(1, 5, 16))

    def forward(self, x: Tensor) -> Tensor:
        swapped = x.transpose(0, 1)
        y, _ = self.attention(swapped, swapped, swapped)
        memory = self.encoder(x + y.transpose(0, 1))
        causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        z = self.decoder(x, memory, tgt_mask=causal)
        out, _ = self.cross(self.latents.expand(x.shape[0], -1, -1), z, z, need_weights=False)
        return out


class Recurrences(nn.Module):
    """Layers, directions, both places of the batch, a state that is computed, and cells in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 4, bias=False)
        self.rnn, self.start = nn.RNN(4, 3, batch_first=True), nn.Linear(4, 3)
        self.cell, self.gru_cell = nn.LSTMCell(3, 4), nn.GRUCell(4, 4)

    def forward(self, ids: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        x, (_, last) = self.lstm(self.embedding(ids))
        x, _ = self.gru(x.transpose(0, 1))
        x = x.transpose(0, 1)
        x, _ = self.rnn(x, self.start(x[:, 0])[None])
        state = (x.new_zeros(x.shape[0], 4), x.new_zeros(x.shape[0], 4))
        for step in range(3):
            state = self.cell(x[:, step], state)
        return self.gru_cell(state[0]), (last,)


class Wave(nn.Module):
    """Convolutions of sequences, with the parametrisations that audio networks like."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 10, 5, bias=False)
        self.norm, self.bn = nn.GroupNorm(8, 8), nn.BatchNorm1d(8)
        self.positional = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 4, padding=2, groups=2), dim=2)
        self.same = nn.Conv1d(8, 8, 3, padding="same", dilation=2)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm(self.conv(x)))
        x = x + F.gelu(self.positional(x)[:, :, :-1])
        x = F.max_pool1d(self.bn(self.same(x)), 2)
        x = F.glu(x, dim=1)
        x = F.adaptive_avg_pool1d(torch.cat((x, x), 1), 1).squeeze(-1)
        return self.linear(F.avg_pool1d(x[:, None], 1).squeeze(1))


class SuperResolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.slope = nn.Conv2d(3, 12, 3, padding=1), nn.PReLU(12)
        self.one_slope, self.shuffle = nn.PReLU(), nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.shuffle(self.one_slope(self.slope(self.body(F.pad(x, (1, 1, 1, 1), mode="reflect"))[..., 1:-1, 1:-1])))
        return y + F.interpolate(x, scale_factor=2)


class Norms(nn.Module):
    """Every normalisation, over images with the channels second and last, and over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.group, self.instance = nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True)
        self.plain, self.layer, self.rms = nn.InstanceNorm2d(8), nn.LayerNorm(8), nn.RMSNorm(8)
        self.image, self.no_bias = nn.LayerNorm((8, 4, 4)), nn.LayerNorm(8, bias=False)
        self.dense, self.flat = nn.Linear(8, 8), nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.image(self.plain(self.instance(self.group(x))))
        x = self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.dense(self.no_bias(x.permute(0, 2, 3, 1)))
        y = self.rms(y).mean(dim=(1, 2))
        return self.flat(y)


class StandardisedConv(nn.Conv2d):
    """A convolution whose weight is normalised and scaled at each run, as ResNetV2's and NFNet's."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = F.batch_norm(self.weight.reshape(1, self.out_channels, -1), None, None, training=True)
        return F.conv2d(x, weight.reshape_as(self.weight) * self.gain, self.bias)


class Odds(nn.Module):
    """What else networks do: sums over letters, kernels made of data, writes into slices, shared and fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.routing = nn.Parameter(torch.zeros(3, 8 * 8 * 9)), nn.Linear(8, 3)
        self.shared, self.standard = nn.Conv2d(8, 8, 3, padding=1), StandardisedConv(8, 8, 1)
        self.register_buffer("blur", torch.ones(8, 1, 3, 3))
        self.mixing, self.scale = nn.Parameter(torch.zeros(4, 8)), nn.Parameter(torch.ones(1, 8, 1, 1))
        self.heads = nn.Parameter(torch.zeros(2, 8, 4))
        self.tokens, self.bias = nn.Linear(64, 16), nn.Parameter(torch.zeros(16))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.shared(F.relu(self.shared(x))) * self.scale
        x = F.conv2d(self.standard(x), self.blur, padding=1, groups=8)
        kernels = (self.routing(x.mean((2, 3))).softmax(-1) @ self.experts).view(-1, 8, 3, 3)
        batch, channels, height, width = x.shape
        x = F.conv2d(x.reshape(1, batch * channels, height, width), kernels, padding=1, groups=batch)
        x = x.view(batch, channels, height, width)
        padded = torch.zeros(batch, channels, height + 2, width, device=x.device)
        padded[:, :, 1:-1] = x
        x = torch.where(padded[:, :, 1:-1] > 0, x.roll(1, 2), x.clamp(min=0))
        y = torch.einsum("bchw,dc->bdhw", x, self.mixing)
        z = torch.einsum("bchw,gcd->bghwd", x, self.heads)
        pairs = torch.einsum("bghwd, bgxyd -> bhx", z, z)
        mixed = self.mixing @ x.flatten(2)
        tied = F.linear(x.flatten(2), self.tokens.weight) + self.tokens(x.flatten(2))
        long = torch.addmm(self.bias, tied.flatten(0, 1), tied[0].T @ tied[0])
        stacked = torch.stack((mixed, mixed.flip(-1)), dim=1).cumsum(1)
        best = torch.baddbmm(pairs, pairs, pairs).max(dim=-1)[0]
        return [y[:, :, ::2], stacked, long, best, torch.bmm(pairs, pairs.mT), torch.addcmul(best, best, best)]


def _floats(*shape: int) -> Tensor:
    return torch.zeros(shape)


def _ids(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.long)


MODELS: dict[str, Callable[[], Made]] = {
    "mobilenet": lambda: (MobileNet(), _floats(2, 3, 32, 32)),
    "resnet": lambda: (ResNet(), (_floats(2, 3, 29, 29),)),
    "densenet": lambda: (DenseNet(), _floats(1, 4, 9, 9)),
    "unet": lambda: (UNet(), _floats(1, 1, 16, 16)),
    "encoder": lambda: (Encoder(fused=False), {"input_ids": _ids(2, 12), "attention_mask": _ids(2, 12)}),
    "encoder_fused": lambda: (Encoder(fused=True), (_ids(2, 12),)),
    "decoder": lambda: (Decoder(style="eager"), _ids(2, 12)),
    "decoder_fused": lambda: (Decoder(style="fused"), _ids(1, 12)),
    "decoder_grouped": lambda: (Decoder(style="grouped"), _ids(2, 12)),
    "decoder_copied": lambda: (Decoder(style="copy"), _ids(2, 12)),
    "torchformer": lambda: (Torchformer(), _floats(2, 7, 16)),
    "recurrences": lambda: (Recurrences(), _ids(3, 7)),
    "wave": lambda: (Wave(), _floats(2, 1, 100)),
    "super_resolution": lambda: (SuperResolution(), _floats(1, 3, 6, 6)),
    "norms": lambda: (Norms(), _floats(2, 8, 4, 4)),
    "odds": lambda: (Odds(), _floats(2, 8, 8, 8)),
}
