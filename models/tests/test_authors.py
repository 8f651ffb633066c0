"""The authors' weights, against an independent implementation of their model in NumPy."""

import numpy as np
import pytest
import torch
from reference_numpy import item_vector, random_state, user_vector

from dff.authors import ENCODER, load_authors_checkpoint
from dff.errors import DataError
from dff.recipe import build_recipe
from dff.recommender import Recommender

ITEMS, DIM, WIDTH, LAYERS, LONGEST, BLOCKS, HEADS = 6, 8, 5, 3, 4, 2, 2


def authors_state():
    return {key: torch.from_numpy(value) for key, value in random_state(ITEMS, DIM, LAYERS, WIDTH, LONGEST, BLOCKS).items()}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_loaded_weights_give_the_numbers_of_the_papers_formulas(prefix):
    state = authors_state()
    model, recipe = load_authors_checkpoint({"model_state_dict": {prefix + key: value for key, value in state.items()}}, HEADS)
    assert (recipe.dim, recipe.max_history, recipe.blocks, recipe.similarity) == (DIM, LONGEST, BLOCKS, "dot")
    numbers = {key: value.numpy() for key, value in state.items()}
    hidden = torch.randn(ITEMS, LAYERS, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        items, shares = model.item_tower(torch.arange(1, ITEMS + 1), hidden)
        for row in range(ITEMS):
            vector, share = item_vector(numbers, row + 1, hidden[row].numpy())
            assert np.abs(items[row].numpy() - vector).max() <= 1e-5 and abs(float(shares[row]) - share) <= 1e-5
        for mask in ([True] * 4, [False, False, True, True], [False, False, False, True]):
            history, real = items[[5, 0, 3, 2]], torch.tensor(mask)
            user = model.user_tower(history.unsqueeze(0), real.unsqueeze(0))[0]
            assert np.abs(user.numpy() - user_vector(numbers, history.numpy(), mask, HEADS)).max() <= 1e-5


def test_the_unknown_item_starts_as_the_mean_of_all_items():
    state = authors_state()
    model, _ = load_authors_checkpoint(state, HEADS)
    table = model.item_tower.id_embedding.weight
    assert table.shape == (ITEMS + 2, DIM)
    assert torch.allclose(table[-1], state["id_encoder.weight"][1:].mean(dim=0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gating.0.bias": None}, "lacks gating.0.bias"),
        ({"id_encoder.weight": None, "weights": None}, "lacks id_encoder.weight, weights"),
        ({"proj.bias": torch.zeros(3)}, r"proj.bias has shape \[3\]; expected \[8\]"),
        ({"weights": torch.zeros(3, 1)}, r"weights has shape \[3, 1\]; expected 1 axes"),
        ({"id_encoder.weight": torch.zeros(7, 4)}, r"id_encoder.weight has shape \[7, 4\]; expected \[items \+ 1, 8\]"),
        ({ENCODER + "transformer_blocks.1.feed_forward.w_1.bias": None}, "transformer_blocks.1.feed_forward.w_1.bias"),
        ({"video_encoder.weight": torch.zeros(1)}, "does not: video_encoder.weight"),
        ({"proj.bias": torch.full((8,), float("nan"))}, "proj.bias holds NaN"),
        ({"proj.bias": [0.0] * 8}, "proj.bias is a list"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_with_the_key(change, reason):
    state = {key: value for key, value in (authors_state() | change).items() if value is not None}
    with pytest.raises(DataError, match=reason):
        load_authors_checkpoint({"model_state_dict": {f"module.{key}": value for key, value in state.items()}}, HEADS)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(DataError, match="dim 8 cannot be divided among 3 heads"):
        load_authors_checkpoint(authors_state(), heads=3)


def test_the_authors_preset_is_theirs_and_can_be_made_small():
    full, small = build_recipe("authors"), build_recipe("authors", dim=8)
    assert (full.dim, full.max_history, full.heads, full.lr, full.loss) == (2048, 10, 2, 1e-5, "in-batch")
    model = Recommender(small, ITEMS, LAYERS, WIDTH)
    assert model.user_tower.blocks[0].attention.query.bias is None
    assert model.user_tower.input_norm.eps == 1e-6
