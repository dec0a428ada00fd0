"""Projection head of the contrastive loss (VA-GNN, arXiv 2405.18260, contrastive learning)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """h(x) = LayerNorm(z + dropout(W₂ gelu(z) + b₂)) with z = W₁ x + b₁.

    One head serves both views of a node type. It runs in the dtype of its parameters even under autocast: it is small,
    and what it projects to is contrasted at a small temperature, which multiplies what rounding does.

    Args:
        in_size: d, size of the embeddings.
        out_size: size of the projection.
        dropout: probability of dropping an entry of the second linear's output.

    Shapes:
        (n, d) → (n, out_size).
    """

    def __init__(self, in_size: int, out_size: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(in_size, out_size)
        self.outer = nn.Linear(out_size, out_size)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(out_size)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(device_type=x.device.type, enabled=False):
            z = self.inner(x.to(self.inner.weight.dtype))
            return self.norm(z + self.dropout(self.outer(self.activation(z))))  # type: ignore[no-any-return]
