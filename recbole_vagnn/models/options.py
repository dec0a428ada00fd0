"""Typed options of the models, read once from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from recbole_vagnn.errors import InputError
from recbole_vagnn.models.objective import ObjectiveOptions


@dataclass(frozen=True)
class VAGNNOptions(ObjectiveOptions):
    """Options of VA-GNN; ``properties/model/VAGNN.yaml`` explains each and holds the published defaults.

    Raises:
        InputError: a value is out of its range, or two options contradict each other.
    """

    embedding_size: int = 64
    n_layers: int = 2
    reg_weight: float = 1e-4
    aux_weight: float = 5.0
    ssl_weight: float = 0.05
    ssl_tau: float = 0.05
    meta_paths: bool = True
    walk_prob: float = 0.4
    user_hop_prob: float = 0.1
    redraw_meta_paths: bool = False
    meta_path_seed: int | None = None
    mix: str = "adaptive"
    views: str = "both"
    projection_heads: bool = True
    head_size: int = 16
    head_dropout: float = 0.5
    contrast_nodes: str = "unique"
    aux_pairs: str = "auto"
    aux_user_sampling: str = "user"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("embedding_size", "head_size"):
            self.require_number(name, 1, whole=True)
        self.require_number("n_layers", 0, whole=True)
        for name in ("reg_weight", "aux_weight"):
            self.require_number(name, 0)
        self.require_number("ssl_weight", float("-inf"))  # negative: the released program's inverted sign
        self.require_number("ssl_tau", 0, above=True)
        for name in ("walk_prob", "user_hop_prob", "head_dropout"):
            self.require_number(name, 0, 1)
        if self.meta_path_seed is not None:
            self.require_number("meta_path_seed", 0, whole=True)
        for name in ("meta_paths", "redraw_meta_paths", "projection_heads"):
            self.require_flag(name)
        self.require_choice("mix", ("adaptive", "equal", "video", "vlogger"))
        self.require_choice("views", ("both", "video", "vlogger"))
        self.require_choice("contrast_nodes", ("unique", "batch"))
        self.require_choice("aux_pairs", ("auto", "follow", "interactions"))
        self.require_choice("aux_user_sampling", ("user", "pair"))
        if self.redraw_meta_paths and not self.meta_paths:
            raise InputError("`redraw_meta_paths: True` needs `meta_paths: True`.")

    @property
    def contrasts(self) -> bool:
        """Whether the contrastive loss is computed: it needs both views and a weight."""
        return self.ssl_weight != 0 and self.views == "both"
