"""What model selection may see: training and validation data, without anything of the test data."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from recbole.data import create_samplers
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader

from recbole_vagnn.data.fingerprint import creators_hash, split_hash
from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset


@dataclass(frozen=True)
class SelectionData:
    """Training and validation data of a split, to be sent to other processes.

    Equal whatever the test interactions are; the ids of users, items and vloggers are those of the whole data set, as
    in every run.

    Attributes:
        train, valid: the splits, without a configuration.
    """

    train: VloggerDataset
    valid: VloggerDataset

    @classmethod
    def of(cls, splits: Sequence[VloggerDataset]) -> Self:
        """The first two of [training, validation, test].

        Raises:
            InputError: there are no validation interactions, or candidates of the validation are drawn with the
                popularity in all data, the test data included.
        """
        train, valid = splits[:2]
        if len(valid) == 0:
            raise InputError(
                f"The split of {train.dataset_name} has no validation interactions to select models by: give "
                f"`eval_args` a split with some, e.g. {{LS: valid_and_test}}."
            )
        _refuse_popularity_of_test_data(train)
        return cls(_bare(train), _bare(valid))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What :meth:`to_bytes` made; only for content of our own process or cluster, as it is unpickled."""
        return cls(*pickle.loads(content))

    def to_bytes(self) -> bytes:
        """The data as one text of bytes; arrays read from it may be written to, unlike Ray's shared ones."""
        return pickle.dumps((self.train, self.valid), protocol=pickle.HIGHEST_PROTOCOL)

    @property
    def fingerprint(self) -> dict[str, str]:
        """Hashes of both splits and of the creators (data/fingerprint.py)."""
        return {
            "train": split_hash(self.train),
            "valid": split_hash(self.valid),
            "creators": creators_hash(self.train),
        }

    def loaders(self, config: Config) -> tuple[Any, Any]:
        """RecBole's loaders of training and validation data for one model's configuration.

        They are those of a run that also has test data: no batch and no candidate of the two depends on those.
        """
        for split in (self.train, self.valid):
            split.config = config
        self.train._set_eval_batch_size()
        nothing = self.valid.copy(_no_rows(self.valid.inter_feat))
        samplers = create_samplers(config, self.train, [self.train, self.valid, nothing])
        train, valid = (
            get_dataloader(config, phase)(config, split, sampler, shuffle=shuffle)
            for phase, split, sampler, shuffle in (
                ("train", self.train, samplers[0], config["shuffle"]),
                ("valid", self.valid, samplers[1], False),
            )
        )
        return train, valid


def _bare(split: VloggerDataset) -> VloggerDataset:
    """A copy without what splits share with the whole data set: its times, a report on its order, a configuration."""
    own = copy.copy(split)
    own._exact_times = own.tie_report = own.config = None
    # A tensor that is part of a larger one would take all of it along.
    own.inter_feat = Interaction({name: column.clone() for name, column in split.inter_feat.interaction.items()})
    return own


def _no_rows(rows: Interaction) -> Interaction:
    return Interaction({name: column[:0] for name, column in rows.interaction.items()})


def _refuse_popularity_of_test_data(train: VloggerDataset) -> None:
    """RecBole's sampler counts items in training, validation and test data alike."""
    config = train.config
    mode = config["eval_args"]["mode"]["valid"]
    if mode.startswith("pop"):
        raise InputError(
            f"Validation draws its candidates by popularity (`eval_args.mode: {mode}`), which RecBole counts in the "
            f"test data too: not for selecting models. Use full or {mode.replace('pop', 'uni')}."
        )
    if train.options.sampler == "recbole" and config["train_neg_sample_args"]["distribution"] == "popularity":
        raise InputError(
            "RecBole's sampler (`sampler: recbole`) counts popularity in the test data too: not for selecting "
            "models. Use `sampler: vectorised`."
        )
