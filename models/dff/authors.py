"""Loads weights that were trained with the module of the paper's authors (arXiv 2512.21863)."""

from collections.abc import Mapping
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


def unwrap(checkpoint: Mapping[str, object]) -> dict[str, torch.Tensor]:
    """The bare state dict, out of `model_state_dict` and without the prefix that data-parallel training adds."""
    state = checkpoint.get("model_state_dict", checkpoint)
    return {key.removeprefix("module."): value for key, value in state.items()}


def recipe_of(state: Mapping[str, torch.Tensor], heads: int = 2) -> Recipe:
    """The authors' preset at the sizes of a state dict; the number of heads cannot be read from it."""
    longest, dim = state[ENCODER + "position_embedding.weight"].shape
    blocks = len({key.removeprefix(ENCODER).split(".")[1] for key in state if key.startswith(ENCODER + "transformer_blocks.")})
    return replace(PRESETS["authors"], dim=dim, max_history=longest, blocks=blocks, heads=heads).checked()


def load_authors_checkpoint(checkpoint: Mapping[str, object], heads: int = 2) -> tuple[Recommender, Recipe]:
    """Builds our model with the authors' weights. The unknown-item row, which they do not have, becomes the mean of all items.

    Raises DataError that names the keys that are missing, unexpected, or of another shape than the rest implies.
    """
    state = unwrap(checkpoint)
    needed = {IDS, "proj.weight", "weights", ENCODER + "position_embedding.weight"}
    if needed - state.keys():
        raise DataError(f"the authors' state dict lacks {', '.join(sorted(needed - state.keys()))}")
    recipe = recipe_of(state, heads)
    keys = key_map(recipe.blocks)
    missing, unexpected = keys.keys() - state.keys(), state.keys() - keys.keys() - {IDS}
    if missing or unexpected:
        raise DataError(f"the authors' state dict lacks {sorted(missing)} and has unexpected {sorted(unexpected)}")
    table = state[IDS].float()
    model = Recommender(recipe, len(table) - 1, len(state["weights"]), state["proj.weight"].shape[1])
    ours = model.state_dict()
    ours["item_tower.id_embedding.weight"] = torch.cat([table, table[1:].mean(dim=0, keepdim=True)])
    for theirs, name in keys.items():
        if state[theirs].shape != ours[name].shape:
            raise DataError(f"{theirs} has shape {list(state[theirs].shape)}; expected {list(ours[name].shape)}")
        ours[name] = state[theirs].float()
    model.load_state_dict(ours)
    return model.eval(), recipe
