"""One small synthetic world that most tests share: items come in clusters, users stay within one."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.features import Features, align
from dff.interactions import Interactions
from dff.split import Split, leave_one_out

CLUSTERS, PER_CLUSTER, LAYERS, WIDTH = 12, 10, 3, 8

torch.set_num_threads(1)


@dataclass(frozen=True)
class World:
    interactions: Interactions
    split: Split
    features: Features
    hidden_states: torch.Tensor  # (C, L, D), catalogue order

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes both input files; returns interactions and features."""
        pairs, features = folder / "pairs.tsv", folder / "features.safetensors"
        users, sequences = self.interactions.users, self.interactions.sequences
        lines = [f"{user}\t{' '.join(items)}\n" for user, items in zip(users, sequences, strict=True)]
        pairs.write_text("".join(lines), encoding="utf-8")
        metadata = {"item_ids": json.dumps(self.features.item_ids), "model": "toy", "revision": "1", "pooling": "mean"}
        save_file({"hidden_states": self.features.hidden_states}, features, metadata=metadata)
        return pairs, features


def make_world(users: int = 400, seed: int = 0) -> World:
    generator = np.random.default_rng(seed)
    names = [f"video{number}" for number in range(CLUSTERS * PER_CLUSTER)]
    sequences = []
    for user in range(users):
        first = (user % CLUSTERS) * PER_CLUSTER
        places = generator.permutation(PER_CLUSTER)[: generator.integers(5, 9)]
        sequences.append([names[first + place] for place in places])
    centres = generator.normal(size=(CLUSTERS, LAYERS, WIDTH))
    noise = generator.normal(size=(len(names), LAYERS, WIDTH)) * 0.3
    hidden = torch.from_numpy(np.repeat(centres, PER_CLUSTER, axis=0) + noise).float()
    interactions = Interactions([f"user{number}" for number in range(users)], sequences, left_out=0)
    features = Features(hidden, names, [f"layer_{number}" for number in range(LAYERS)])
    split = leave_one_out(interactions, names)
    return World(interactions, split, features, align(features, split.item_ids, Path("features"), allow_missing=False))


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()
