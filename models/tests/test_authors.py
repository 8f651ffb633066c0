"""The authors' weights, against a plain re-implementation of model and state dict from the paper's description."""

import math

import pytest
import torch

from dff.authors import ENCODER, load_authors_checkpoint
from dff.errors import DataError
from dff.recipe import build_recipe
from dff.recommender import Recommender

ITEMS, DIM, WIDTH, LAYERS, LONGEST, BLOCKS, HEADS = 6, 8, 5, 3, 4, 2, 2


def authors_state():
    generator = torch.Generator().manual_seed(5)

    def draw(*shape):
        return torch.randn(*shape, generator=generator) * 0.4

    state = {
        "id_encoder.weight": draw(ITEMS + 1, DIM),
        "weights": draw(LAYERS),
        "proj.weight": draw(DIM, WIDTH),
        "proj.bias": draw(DIM),
        "gating.0.weight": draw(DIM, 2 * DIM),
        "gating.0.bias": draw(DIM),
        ENCODER + "position_embedding.weight": draw(LONGEST, DIM),
        ENCODER + "layer_norm.weight": 1 + draw(DIM),
        ENCODER + "layer_norm.bias": draw(DIM),
    }
    for block in range(BLOCKS):
        attention, feed = (f"{ENCODER}transformer_blocks.{block}.{part}." for part in ("multi_head_attention", "feed_forward"))
        state |= {f"{attention}{name}.weight": draw(DIM, DIM) for name in ("w_Q", "w_K", "w_V", "fc")}
        state |= {feed + "w_1.weight": draw(4 * DIM, DIM), feed + "w_1.bias": draw(4 * DIM)}
        state |= {feed + "w_2.weight": draw(DIM, 4 * DIM), feed + "w_2.bias": draw(DIM)}
        for part in (attention, feed):
            state |= {part + "layer_norm.weight": 1 + draw(DIM), part + "layer_norm.bias": draw(DIM)}
    return state


def norm(state, key, x):
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True) + 1e-6).sqrt() * state[key + "weight"] + state[key + "bias"]


def reference_item(state, row, hidden):
    weights = torch.exp(state["weights"]) / torch.exp(state["weights"]).sum()
    mixed = sum(weight * hidden[layer] for layer, weight in enumerate(weights))
    content = (state["proj.weight"] @ mixed + state["proj.bias"]).clamp(min=0)
    identity = state["id_encoder.weight"][row]
    gate = 1 / (1 + torch.exp(-(state["gating.0.weight"] @ torch.cat([identity, content]) + state["gating.0.bias"])))
    return gate * identity + (1 - gate) * content


def reference_user(state, vectors, mask):
    """One user: vectors (T, d), mask (T); loops over heads and positions instead of reshaping."""
    x = norm(state, ENCODER + "layer_norm.", vectors + state[ENCODER + "position_embedding.weight"])
    width = DIM // HEADS
    for block in range(BLOCKS):
        key = f"{ENCODER}transformer_blocks.{block}.multi_head_attention."
        query, keys, values = (x @ state[f"{key}{name}.weight"].T for name in ("w_Q", "w_K", "w_V"))
        mixed = torch.zeros_like(x)
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            for place in range(LONGEST):
                scores = keys[:, part] @ query[place, part] / math.sqrt(width)
                allowed = torch.tensor([other <= place and bool(mask[other]) for other in range(LONGEST)])
                scores = scores + torch.where(allowed, torch.tensor(0.0), torch.tensor(-1e9))
                mixed[place, part] = torch.softmax(scores, dim=0) @ values[:, part]
        x = norm(state, key + "layer_norm.", x + mixed @ state[key + "fc.weight"].T)
        key = f"{ENCODER}transformer_blocks.{block}.feed_forward."
        wide = (x @ state[key + "w_1.weight"].T + state[key + "w_1.bias"]).clamp(min=0)
        x = norm(state, key + "layer_norm.", x + wide @ state[key + "w_2.weight"].T + state[key + "w_2.bias"])
    return x[-1]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_loaded_weights_give_the_numbers_of_the_papers_formulas(prefix):
    state = authors_state()
    model, recipe = load_authors_checkpoint({"model_state_dict": {prefix + key: value for key, value in state.items()}}, HEADS)
    assert (recipe.dim, recipe.max_history, recipe.blocks, recipe.similarity) == (DIM, LONGEST, BLOCKS, "dot")
    hidden = torch.randn(ITEMS, LAYERS, WIDTH)
    with torch.no_grad():
        items, _ = model.item_tower(torch.arange(1, ITEMS + 1), hidden)
        wanted = torch.stack([reference_item(state, row + 1, hidden[row]) for row in range(ITEMS)])
        assert (items - wanted).abs().max() <= 1e-5
        for mask in ([True] * 4, [False, False, True, True], [False, False, False, True]):
            history, real = items[[5, 0, 3, 2]], torch.tensor(mask)
            user = model.user_tower(history.unsqueeze(0), real.unsqueeze(0))[0]
            assert (user - reference_user(state, history, real)).abs().max() <= 1e-5


def test_the_unknown_item_starts_as_the_mean_of_all_items():
    state = authors_state()
    model, _ = load_authors_checkpoint(state, HEADS)
    table = model.item_tower.id_embedding.weight
    assert table.shape == (ITEMS + 2, DIM)
    assert torch.allclose(table[-1], state["id_encoder.weight"][1:].mean(dim=0))


def test_a_state_dict_that_does_not_fit_is_refused_with_the_key():
    lacking = authors_state()
    del lacking["gating.0.bias"]
    with pytest.raises(DataError, match="gating.0.bias"):
        load_authors_checkpoint(lacking)
    with pytest.raises(DataError, match="proj.bias has shape"):
        load_authors_checkpoint(authors_state() | {"proj.bias": torch.zeros(3)})
    with pytest.raises(DataError, match="lacks id_encoder.weight"):
        load_authors_checkpoint({"something": torch.zeros(1)})


def test_the_authors_preset_is_theirs_and_can_be_made_small():
    full, small = build_recipe("authors"), build_recipe("authors", dim=8)
    assert (full.dim, full.max_history, full.heads, full.lr, full.loss) == (2048, 10, 2, 1e-5, "in-batch")
    model = Recommender(small, ITEMS, LAYERS, WIDTH)
    assert model.user_tower.blocks[0].attention.query.bias is None
    assert model.user_tower.input_norm.eps == 1e-6
