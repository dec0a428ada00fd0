"""Sign-preserving noise on embeddings (SimGCL, Yu et al., SIGIR 2022)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_TINY = 1e-12  # keeps the norm of a draw that is all zeros from dividing by zero


class SignNoise:
    r"""Adds :math:`\varepsilon\,\mathrm{sign}(E) \odot \mathrm{normalize}(r)`, r uniform in [0, 1), row by row.

    Each row moves by exactly ε inside its own orthant; a zero entry, and so the row of a node without edges,
    stays zero.

    Args:
        rng: where the draws come from; its owner keeps and restores its state. On a GPU it seeds one draw of the
            GPU each time, so that its state is all there is to keep there too.
        eps: ε ≥ 0, length of the noise of a row.
    """

    def __init__(self, rng: np.random.Generator, eps: float) -> None:
        self.rng = rng
        self.eps = eps

    def draw(self, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) of the shape, dtype and device of ``like``, drawn as float32."""
        if like.device.type == "cpu":
            return torch.from_numpy(self.rng.random(tuple(like.shape), dtype=np.float32)).to(like.dtype)
        generator = torch.Generator(like.device).manual_seed(int(self.rng.integers(2**63)))
        return torch.rand(like.shape, generator=generator, device=like.device, dtype=torch.float32).to(like.dtype)

    def __call__(self, values: Tensor) -> Tensor:
        """The perturbed values, a new tensor.

        Args:
            values: (n, d) embeddings.

        Returns:
            (n, d).
        """
        noise = self.draw(values)
        length = torch.linalg.vector_norm(noise, dim=1, keepdim=True).clamp_(min=_TINY)
        return torch.addcmul(values, values.sign(), noise.mul_(self.eps / length))
