"""Loads weights that were trained with the module of the paper's authors (arXiv 2512.21863)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch

from dff.errors import DataError
from dff.recipe import PRESETS, Recipe
from dff.recommender import Recommender

ENCODER = "user_encoder.transformer_encoder."
ITEM_KEYS = {
    "weights": "item_tower.layer_logits",
    "proj.weight": "item_tower.projection.weight",
    "proj.bias": "item_tower.projection.bias",
    "gating.0.weight": "item_tower.gate.weight",
    "gating.0.bias": "item_tower.gate.bias",
}
USER_KEYS = {
    "position_embedding.weight": "user_tower.position.weight",
    "layer_norm.weight": "user_tower.input_norm.weight",
    "layer_norm.bias": "user_tower.input_norm.bias",
}
BLOCK_KEYS = {
    "multi_head_attention.w_Q.weight": "attention.query.weight",
    "multi_head_attention.w_K.weight": "attention.key.weight",
    "multi_head_attention.w_V.weight": "attention.value.weight",
    "multi_head_attention.fc.weight": "attention.output.weight",
    "multi_head_attention.layer_norm.weight": "attention_norm.weight",
    "multi_head_attention.layer_norm.bias": "attention_norm.bias",
    "feed_forward.w_1.weight": "widen.weight",
    "feed_forward.w_1.bias": "widen.bias",
    "feed_forward.w_2.weight": "narrow.weight",
    "feed_forward.w_2.bias": "narrow.bias",
    "feed_forward.layer_norm.weight": "feed_norm.weight",
    "feed_forward.layer_norm.bias": "feed_norm.bias",
}
IDS = "id_encoder.weight"


def key_map(blocks: int) -> dict[str, str]:
    """The authors' key to ours, for everything but the ID table, which gains a row here."""
    keys = ITEM_KEYS | {ENCODER + theirs: ours for theirs, ours in USER_KEYS.items()}
    for number in range(blocks):
        theirs, ours = f"{ENCODER}transformer_blocks.{number}.", f"user_tower.blocks.{number}."
        keys |= {theirs + name: ours + BLOCK_KEYS[name] for name in BLOCK_KEYS}
    return keys


SHAPES = {IDS: 2, "weights": 1, "proj.weight": 2, ENCODER + "position_embedding.weight": 2}  # that sizes are read from, and their axes


def unwrap(checkpoint: Mapping[str, object]) -> dict[str, torch.Tensor]:
    """The bare state dict, out of `model_state_dict` and without the prefix that data-parallel training adds.

    Raises DataError if it holds anything but tensors of finite numbers.
    """
    state = checkpoint.get("model_state_dict", checkpoint)
    if not isinstance(state, Mapping):
        raise DataError(f"model_state_dict is a {type(state).__name__}")
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(f"{key} is a {type(value).__name__} instead of a tensor")
        if not torch.isfinite(value).all():
            raise DataError(f"{key} holds NaN or infinite values")
    return {key.removeprefix("module."): value for key, value in state.items()}


def recipe_of(state: Mapping[str, torch.Tensor], heads: int = 2) -> Recipe:
    """The authors' preset at the sizes of a state dict; the number of heads cannot be read from it."""
    longest, dim = state[ENCODER + "position_embedding.weight"].shape
    blocks = len({key.removeprefix(ENCODER).split(".")[1] for key in state if key.startswith(ENCODER + "transformer_blocks.")})
    return replace(PRESETS["authors"], dim=dim, max_history=longest, blocks=blocks, heads=heads).checked()


def listed(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys))


def load_authors_checkpoint(
    checkpoint: Mapping[str, object], heads: int = 2, similarity: str = "dot", temperature: float = 1.0
) -> tuple[Recommender, Recipe]:
    """Builds our model with the authors' weights. The unknown-item row, which they do not have, becomes the mean of all items.

    Raises DataError that names the keys that are missing, unexpected, or of another shape than the rest implies.
    """
    state = unwrap(checkpoint)
    if SHAPES.keys() - state.keys():
        raise DataError(f"the state dict lacks {listed(SHAPES.keys() - state.keys())}")
    for key, axes in SHAPES.items():
        if state[key].dim() != axes or 0 in state[key].shape:
            raise DataError(f"{key} has shape {list(state[key].shape)}; expected {axes} axes, none of them empty")
    recipe = replace(recipe_of(state, heads), similarity=similarity, temperature=temperature).checked()
    keys = key_map(recipe.blocks)
    missing, unexpected = keys.keys() - state.keys(), state.keys() - keys.keys() - {IDS}
    if missing:
        raise DataError(f"the state dict lacks {listed(missing)}")
    if unexpected:
        raise DataError(f"the state dict has keys that the model does not: {listed(unexpected)}")
    table = state[IDS].float()
    if len(table) < 2 or table.shape[1] != recipe.dim:
        raise DataError(f"{IDS} has shape {list(table.shape)}; expected [items + 1, {recipe.dim}]")
    model = Recommender(recipe, len(table) - 1, len(state["weights"]), state["proj.weight"].shape[1])
    ours = model.state_dict()
    ours["item_tower.id_embedding.weight"] = torch.cat([table, table[:1]])  # a last row for the unknown item
    for theirs, name in keys.items():
        if state[theirs].shape != ours[name].shape:
            raise DataError(f"{theirs} has shape {list(state[theirs].shape)}; expected {list(ours[name].shape)}")
        ours[name] = state[theirs].float()
    model.load_state_dict(ours)
    model.item_tower.settle_unknown()
    return model.eval(), recipe
