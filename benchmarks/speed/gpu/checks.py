"""Is what runs on the device right? Losses, gradients, the same numbers twice, the same evaluation as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..agreement import check, seed_everything
from ..contestants import CONTESTANTS, FAST, OURS, Competitor
from .field import CPU, Field

_SEED = 11
_STEPS = 5
# Without what a device draws by itself, so that two devices can be compared.
_NOTHING_DRAWN: dict[str, dict[str, Any]] = {
    "VAGNN": {"head_dropout": 0.0},
    "GTN": {"dropout": 0.0},
    "NGCF": {"message_dropout": 0.0},
}
GRADIENT_TOLERANCE = 1e-3
METRIC_TOLERANCE = 1e-3
OWN = [key for key, one in CONTESTANTS.items() if one.kind == OURS]
QUICK = [key for key, one in CONTESTANTS.items() if one.kind == FAST]


def loss(field: Field, key: str) -> dict[str, Any]:
    """The loss of a step on the device against float64 on the CPU, or against RecBole's class on the device."""
    competitor = field.compete(key)
    stock = field.compete(competitor.contestant.model) if competitor.contestant.kind == FAST else None
    found = check(competitor, stock)
    return {} if found is None else found.to_json()


def gradients(field: Field, key: str, amp: bool = False) -> dict[str, Any]:
    """Gradients of a step on the device against the same step on the CPU, in float64 for our models.

    Returns:
        ``errors``: ‖g − g'‖ / ‖g'‖ by parameter; ``largest`` of them; ``loss_error``; ``agrees``.
    """
    on_device = _deterministic(field, key, field.device)
    on_cpu = _deterministic(field, key, CPU)
    on_cpu.model.load_state_dict({name: value.cpu() for name, value in on_device.model.state_dict().items()})
    if on_cpu.contestant.kind == OURS:
        on_cpu.model.double()
    losses, found = [], []
    for one in (on_device, on_cpu):
        seed_everything(_SEED)
        one.model.train()  # SGL draws its graphs here
        with torch.autocast(field.device.type, enabled=amp and one is on_device):
            terms = one.model.calculate_loss(one.batches[0])
        total: Any = sum(terms) if isinstance(terms, tuple) else terms
        total.backward()
        losses.append(total.item())
        found.append({n: p.grad.double().cpu() for n, p in one.model.named_parameters() if p.grad is not None})
    errors = {n: float((found[0][n] - g).norm() / g.norm().clamp(min=1e-30)) for n, g in found[1].items()}
    largest = max(errors.values())
    return {
        "by": "float64 on the CPU" if on_cpu.contestant.kind == OURS else "float32 on the CPU",
        "loss_error": abs(losses[0] - losses[1]) / abs(losses[1]),
        "errors": errors,
        "largest": largest,
        "agrees": found[0].keys() == found[1].keys() and largest <= GRADIENT_TOLERANCE,
    }


def _deterministic(field: Field, key: str, device: torch.device) -> Competitor:
    competitor = field.compete(key, device, options=_NOTHING_DRAWN.get(CONTESTANTS[key].model))
    noise = getattr(competitor.model, "_noise", None)
    if noise is not None:  # on a GPU it draws there, which gives other numbers
        noise.draw = lambda like: torch.from_numpy(noise.rng.random(tuple(like.shape), dtype=np.float32)).to(like)
    return competitor


def repeated(field: Field, key: str) -> dict[str, Any]:
    """Some steps twice from the same seed: are all parameters the same to the last bit?"""
    states = []
    for _ in range(2):
        competitor = field.compete(key)
        seed_everything(_SEED)
        competitor.model.train()
        for _ in range(_STEPS):
            competitor.step()
        states.append({name: value.clone() for name, value in competitor.model.state_dict().items()})
    differ = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    return {"steps": _STEPS, "identical": not differ, "differ": differ}


def evaluation(field: Field, key: str) -> dict[str, Any]:
    """Validation metrics on the device and on the CPU at the same parameters."""
    on_device, on_cpu = field.compete(key), field.compete(key, CPU)
    for _ in range(_STEPS):
        on_device.step()
    on_cpu.model.load_state_dict({name: value.cpu() for name, value in on_device.model.state_dict().items()})
    metrics = []
    for one in (on_device, on_cpu):
        one.model.eval()
        for cached in ("restore_user_e", "restore_item_e"):  # RecBole keeps vectors of parameters that were
            if hasattr(one.model, cached):
                setattr(one.model, cached, None)
        metrics.append(dict(one.trainer.evaluate(one.loaded.valid, load_best_model=False)))
    differences = {name: abs(float(metrics[0][name]) - float(metrics[1][name])) for name in metrics[1]}
    return {
        "device": {name: float(value) for name, value in metrics[0].items()},
        "largest_difference": max(differences.values()),
        "agrees": max(differences.values()) <= METRIC_TOLERANCE,
    }
