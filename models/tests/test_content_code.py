import pytest
import torch
from torch.nn import functional

from dff.content_code import FADING, CodedRecommender, CodedUsers, whitening, with_content_code
from dff.evaluation import catalogue_vectors, evaluate
from dff.graphs import serving_form
from dff.recipe import build_recipe
from dff.run import build_model

RECIPE = build_recipe("default", dim=16, max_history=6)
WEIGHT = 0.3


def fused_model(world, recipe=RECIPE):
    model = build_model(recipe, world.split, world.hidden_states).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start at 0 and 1, where mistakes would not show
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def coded_model(world, weight=WEIGHT):
    model = fused_model(world)
    return model, CodedRecommender(model, whitening(model.item_tower, world.hidden_states, RECIPE.code_width - 1), weight).eval()


@pytest.mark.parametrize(
    ("changes", "widths"),
    [
        ({}, (96, 32)),
        ({"dim": 64}, (48, 16)),
        ({"dim": 8}, (6, 2)),
        ({"dim": 2}, (2, 0)),
        ({"heads": 4, "dim": 20}, (12, 8)),
        ({"heads": 1, "dim": 3}, (3, 0)),
        ({"content_share": 0.9}, (12, 116)),
        ({"content_share": 0.0}, (128, 0)),
        ({"variant": "id"}, (128, 0)),
        ({"variant": "replacement"}, (128, 0)),
        ({"similarity": "dot"}, (128, 0)),
    ],
)
def test_the_content_share_leaves_a_width_that_the_heads_can_divide(changes, widths):
    recipe = build_recipe("default", **changes)
    assert (recipe.fused_width, recipe.code_width) == widths


@torch.no_grad()
def test_a_score_is_the_fused_cosine_and_the_weighted_cosine_of_the_codes(world):
    fused, coded = coded_model(world)
    states = world.hidden_states
    history, mask = torch.tensor([[0, 3, 1, 4]]), torch.tensor([[False, True, True, True]])
    own = catalogue_vectors(fused, world.split, states)
    by_fusion = functional.normalize(fused.user_tower(own[history], mask), dim=-1) @ functional.normalize(own, dim=-1).T
    means = fused.item_tower.standardise(states).mean(dim=1)
    variances, axes = torch.linalg.eigh((means.T @ means / len(means)).double())
    whitened = (means.double() @ axes / variances.sqrt()).flip(1)[:, : RECIPE.code_width - 1].float()
    codes = functional.normalize(whitened, dim=-1)
    user = sum(codes[item] * FADING**age for age, item in enumerate([4, 1, 3]))
    by_code = functional.normalize(user, dim=0) @ codes.T
    joined = catalogue_vectors(coded, world.split, states)
    given = coded.queries(coded.user_tower(joined[history], mask)) @ coded.keys(joined).T
    assert joined.shape == (len(states), RECIPE.dim)
    assert torch.allclose(given * RECIPE.temperature * (1 + WEIGHT), by_fusion + WEIGHT * by_code, atol=1e-4)


@torch.no_grad()
def test_a_clip_without_hidden_states_scores_as_by_fusion_alone(world):
    fused, coded = coded_model(world)
    states = torch.zeros_like(world.hidden_states[:2])
    rows, history = torch.tensor([1, 2]), catalogue_vectors(fused, world.split, world.hidden_states)[None, :5]
    own = fused.keys(fused.item_tower(rows, states)[0])
    joined = coded.keys(coded.item_tower(rows, states)[0])
    mask = torch.ones(1, 5, dtype=torch.bool)
    user = coded.user_tower(catalogue_vectors(coded, world.split, world.hidden_states)[None, :5], mask)
    wanted = fused.queries(fused.user_tower(history, mask)) @ own.T
    assert torch.allclose((coded.queries(user) @ joined.T) * (1 + WEIGHT), wanted, atol=1e-4)
    assert torch.isfinite(coded.user_tower(coded.item_tower(rows, states)[0][None], mask[:, :2])).all()


@torch.no_grad()
def test_the_serving_form_is_the_same_function(world):
    _, coded = coded_model(world)
    vectors, mask = torch.randn(3, 6, RECIPE.dim), torch.ones(3, 6, dtype=torch.bool)
    mask[0, :4] = False
    served = serving_form(coded.user_tower)
    assert isinstance(served, CodedUsers) and served.tower is not coded.user_tower.tower
    assert torch.allclose(served(vectors, mask), coded.user_tower(vectors, mask), atol=1e-5)


@torch.no_grad()
def test_the_weight_is_the_best_on_valid(world):
    model = fused_model(world)  # knows nothing: whatever is found is found by the codes
    chosen = with_content_code(model, RECIPE, world.split, world.hidden_states)
    plain, scored = (evaluate(each, world.split, world.hidden_states, "valid")[RECIPE.chosen_by] for each in (model, chosen))
    assert chosen.user_tower.scale > 0 and scored > plain
    noise = torch.randn_like(world.hidden_states)
    assert with_content_code(model, RECIPE, world.split, None) is model
    assert (
        evaluate(with_content_code(model, RECIPE, world.split, noise), world.split, noise, "valid")[RECIPE.chosen_by]
        >= (evaluate(model, world.split, noise, "valid")[RECIPE.chosen_by])
    )


@torch.no_grad()
def test_features_narrower_than_the_code_fill_it_with_zeros(world):
    model = fused_model(world)
    axes = whitening(model.item_tower, world.hidden_states, 20)
    assert axes.shape == (world.hidden_states.shape[2], 20) and not axes[:, world.hidden_states.shape[2] :].any()


@torch.no_grad()
def test_an_axis_without_variance_is_not_blown_up(world):
    states = world.hidden_states.clone()
    states[:, :, 0] = states[:, :, 1]
    model = build_model(RECIPE, world.split, states)
    axes = whitening(model.item_tower, states, states.shape[2])
    codes = model.item_tower.standardise(states).mean(dim=1) @ axes
    assert codes.abs().max() < 10
