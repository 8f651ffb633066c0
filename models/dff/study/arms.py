"""The arms of the comparison: what an item is made of, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dff.errors import DataError

MODES = {"replacement": "replacement", "fusion": "dff"}  # mode and the item tower's variant
FEW_LAYERS = 8  # a model with more layers than this is sampled, unless all are asked for


@dataclass(frozen=True)
class Arm:
    mode: str  # id, replacement or fusion
    source: str  # none, captions or states
    layers: tuple[int, ...] = ()  # of the source, in its order
    learned: bool = False  # whether the layers' mix is learned; otherwise they weigh the same

    @property
    def variant(self) -> str:
        return MODES.get(self.mode, "id")

    @property
    def slug(self) -> str:
        if self.source == "none":
            return "id"
        if self.source == "captions":
            return f"{self.mode}-caption"
        if len(self.layers) == 1:
            return f"{self.mode}-layer-{self.layers[0]}"
        return f"{self.mode}-{'dff' if self.learned else 'uniform'}"

    def states(self, sources: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """The arm's own hidden states, (C, its layers, D), out of all sources' (C, L, D)."""
        if self.source == "none":
            return None
        states = sources[self.source]
        return states if len(self.layers) == states.shape[1] else states[:, list(self.layers)]


def single_layers(wanted: str, count: int) -> list[int]:
    """`auto` is all of a few layers, else some evenly spread ones with the first and the last; or all, none, or numbers as 0,4,8."""
    if wanted == "none":
        return []
    if wanted == "all" or (wanted == "auto" and count <= FEW_LAYERS):
        return list(range(count))
    if wanted == "auto":
        return sorted({round(place * (count - 1) / (FEW_LAYERS - 1)) for place in range(FEW_LAYERS)})
    try:
        layers = sorted({int(number) for number in wanted.split(",")})
    except ValueError as error:
        raise DataError(f"--layers is {wanted!r}; expected auto, all, none or numbers such as 0,4,8") from error
    if layers[0] < 0 or layers[-1] >= count:
        raise DataError(f"--layers is {wanted!r}; the features have the layers 0 to {count - 1}")
    return layers


def arms(layers: int, singles: Sequence[int], captions: int, modes: Sequence[str]) -> list[Arm]:
    """All arms in the order of the report; `captions` is the number of layers of the caption representation, 0 without one."""
    chosen = [Arm("id", "none")]
    for mode in modes:
        if captions:
            chosen.append(Arm(mode, "captions", tuple(range(captions)), learned=captions > 1))
        chosen += [Arm(mode, "states", (layer,)) for layer in sorted({*singles, layers - 1})]  # the last layer always
        if layers > 1:
            everything = tuple(range(layers))
            chosen += [Arm(mode, "states", everything), Arm(mode, "states", everything, learned=True)]
    return chosen
