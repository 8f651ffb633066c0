import pytest
import torch

from dff.item_tower import VARIANTS, ItemTower, MixLayers
from dff.principal_axes import principal_axes
from dff.user_tower import UserTower

DIM, LONGEST, LAYERS, WIDTH = 16, 7, 3, 5


def item_tower(variant="dff"):
    torch.manual_seed(1)
    tower = ItemTower(variant, 4, DIM, LAYERS, WIDTH)
    if variant != "id":
        tower.fit_standardisation(torch.randn(4, LAYERS, WIDTH) * 3 + 2)
    return tower.eval()


def user_tower(**changes):
    torch.manual_seed(2)
    return UserTower(DIM, LONGEST, **changes).eval()


def left_pad(histories, length):
    mask = torch.zeros(histories.shape[0], length, dtype=torch.bool)
    mask[:, length - histories.shape[1] :] = True
    padded = torch.randn(histories.shape[0], length, DIM)  # what stands in padding must not matter
    padded[mask] = histories.reshape(-1, DIM)
    return padded, mask


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_vectors_and_the_share_of_the_id(variant):
    vectors, share = item_tower(variant)(torch.tensor([1, 4, 5]), torch.randn(3, LAYERS, WIDTH))
    assert vectors.shape == (3, DIM) and share.shape == (3,)
    assert torch.all((share >= 0) & (share <= 1))
    if variant != "dff":
        assert torch.all(share == float(variant == "id"))


def test_an_item_without_features_counts_as_the_average_item():
    tower = item_tower()
    rows = torch.tensor([2, 2])
    states = torch.stack([torch.zeros(LAYERS, WIDTH), tower.mean])
    vectors, _ = tower(rows, states)
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6)


def test_missing_features_do_not_take_part_in_the_standardisation():
    tower, states = item_tower(), torch.randn(6, LAYERS, WIDTH) + 5
    states[2:4] = 0
    tower.fit_standardisation(states)
    assert torch.allclose(tower.mean, states[[0, 1, 4, 5]].mean(dim=0), atol=1e-6)
    assert torch.allclose(tower.scale, states[[0, 1, 4, 5]].std(dim=0, unbiased=False), atol=1e-6)


def test_training_and_serving_take_the_same_way_through_the_item_tower():
    tower, rows, states = item_tower(), torch.tensor([1, 2, 5]), torch.randn(3, LAYERS, WIDTH)
    served, _ = tower(rows, states)
    trained, _ = tower.for_training(rows, tower.standardise(states), content_gain=3)
    assert torch.allclose(served, trained, atol=1e-6)


@pytest.mark.parametrize("variant", ["dff", "id", "replacement"])
def test_keys_of_training_have_the_part_of_the_features_divided_by_the_gain(variant):
    tower, rows, states = item_tower(variant), torch.tensor([1, 2, 5]), torch.randn(3, LAYERS, WIDTH)
    given = (rows, None if variant == "id" else tower.standardise(states))
    vectors, as_they_are = tower.for_training(*given, content_gain=1)
    assert torch.equal(vectors, as_they_are)
    content = torch.zeros_like(vectors)
    if variant != "id":
        content = tower.activate((tower.layer_weights().view(1, -1, 1) * given[1]).sum(dim=1))
    if variant == "dff":
        content = content * (1 - torch.sigmoid(tower.gate(torch.cat([tower.id_embedding(rows), content], dim=-1))))
    _, keys = tower.for_training(*given, content_gain=4)
    assert torch.allclose(keys, vectors - 0.75 * content, atol=1e-6)


def test_the_layer_mix_has_the_gradient_of_its_formula():
    states = torch.randn(600, LAYERS, WIDTH)  # more than one chunk
    slope = torch.randn(600, WIDTH)
    weights = torch.softmax(torch.randn(LAYERS), dim=0).requires_grad_()
    (MixLayers.apply(weights, states) * slope).sum().backward()
    ours, weights.grad = weights.grad, None
    ((states * weights.view(1, -1, 1)).sum(dim=1) * slope).sum().backward()
    assert torch.allclose(ours, weights.grad, rtol=1e-4, atol=1e-3)
    assert torch.allclose(MixLayers.apply(weights, states.half()), (states * weights.view(1, -1, 1)).sum(dim=1), atol=1e-2)


@pytest.mark.parametrize("changes", [{}, {"norm_first": True}, {"history_mean": True}])
@pytest.mark.parametrize("length", [1, 3, LONGEST])
def test_padding_does_not_change_the_user_vector(changes, length):
    tower = user_tower(**changes)
    histories = torch.randn(4, length, DIM)
    bare = tower(histories, torch.ones(4, length, dtype=torch.bool))
    assert bare.shape == (4, DIM)
    assert torch.allclose(tower(*left_pad(histories, LONGEST)), bare, atol=1e-6)


@pytest.mark.parametrize(
    "changes", [{}, {"norm_first": True}, {"blocks": 1}, {"attention_bias": False, "heads": 4}, {"history_mean": True}]
)
def test_the_shortcut_to_the_last_position_equals_the_full_computation(changes):
    tower = user_tower(**changes)
    histories, mask = left_pad(torch.randn(3, 4, DIM), LONGEST)
    assert torch.allclose(tower(histories, mask), tower.all_positions(histories, mask)[:, -1], atol=1e-6)


@pytest.mark.parametrize("history_mean", [False, True])
def test_an_output_does_not_depend_on_later_items(history_mean):
    tower, histories, mask = user_tower(history_mean=history_mean), torch.randn(2, LONGEST, DIM), torch.ones(2, LONGEST, dtype=torch.bool)
    changed = histories.clone()
    changed[:, 4:] += 1
    assert torch.allclose(tower.all_positions(histories, mask)[:, :4], tower.all_positions(changed, mask)[:, :4], atol=1e-6)


def test_order_matters():
    tower, histories, mask = user_tower(), torch.randn(1, LONGEST, DIM), torch.ones(1, LONGEST, dtype=torch.bool)
    swapped = histories[:, [1, 0, *range(2, LONGEST)]]
    assert not torch.allclose(tower(histories, mask), tower(swapped, mask), atol=1e-3)


def test_the_mean_of_the_history_is_added_to_the_direction_of_the_output():
    tower = user_tower(history_mean=True)
    torch.nn.init.normal_(tower.history_mean.log_weights)
    tower.history_mean.share.data.fill_(1.7)
    ages = tower.history_mean.log_weights.exp().tolist()
    histories, mask = torch.randn(3, 5, DIM), torch.tensor([[False, False, True, True, True], [False] * 4 + [True], [True] * 5])
    expected = []
    for history, real in zip(histories, mask, strict=True):
        mean = sum(ages[4 - place] * history[place] for place in range(5) if real[place])
        output = tower.encode(history[None], real[None], last_only=True)[0, 0]
        expected.append(output / output.norm() + 1.7 * mean / mean.norm())
    assert torch.allclose(tower(histories, mask), torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("width", [DIM, 40])
def test_a_projection_that_starts_at_the_principal_axes_keeps_cosines_between_items(width):
    tower = ItemTower("dff", 200, DIM, LAYERS, width, "linear")
    signal = torch.randn(200, 6) @ torch.randn(6, width) * 3  # six axes say nearly all, which 16 can hold
    states = (signal + torch.randn(200, width) * 0.01).unsqueeze(1).expand(-1, LAYERS, -1) + 4
    tower.fit_standardisation(states)
    means = tower.layer_means(states)
    tower.start_at_principal_axes(means, principal_axes(means), 1.0)
    content = tower.activate(means).detach()
    assert content.norm(dim=1).mean() == pytest.approx(1, abs=1e-4)
    cosines = [torch.nn.functional.normalize(vectors, dim=1) for vectors in (content, means)]
    assert torch.allclose(cosines[0] @ cosines[0].T, cosines[1] @ cosines[1].T, atol=0.02)


def test_fewer_axes_than_dimensions_leave_rows_at_zero():
    tower, states = ItemTower("dff", 4, DIM, LAYERS, WIDTH, "linear"), torch.randn(9, LAYERS, WIDTH)
    tower.fit_standardisation(states)
    means = tower.layer_means(states)
    tower.start_at_principal_axes(means, principal_axes(means), 1.0)
    assert tower.projection.weight[:WIDTH].any(dim=1).all() and not tower.projection.weight[WIDTH:].any()


@pytest.mark.parametrize("history_mean", [False, True])
def test_a_history_without_a_single_item_gives_no_nan(history_mean):
    vectors = user_tower(history_mean=history_mean)(torch.zeros(2, LONGEST, DIM), torch.zeros(2, LONGEST, dtype=torch.bool))
    assert torch.isfinite(vectors).all()


def test_a_feature_that_never_varies_in_training_makes_nothing_of_a_new_item_that_differs_in_it():
    states = torch.randn(50, 1, 4)
    states[:, :, 2] = 3.0
    tower = ItemTower("replacement", 50, DIM, 1, 4)
    tower.fit_standardisation(states)
    new = states[:1].clone()
    new[:, :, 2] = 3.5
    assert float((tower.standardise(new) - tower.standardise(states[:1])).abs().max()) == pytest.approx(0.5)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_all_numbers_of_a_projection_wider_than_the_features_can_learn(activation):
    tower = ItemTower("replacement", 20, 8, 1, 3, activation)
    states = torch.randn(20, 1, 3)
    tower.fit_standardisation(states)
    means = tower.layer_means(states)
    tower.start_at_principal_axes(means, principal_axes(means), 1.0)
    tower(None, states)[0].sum().backward()
    assert (tower.projection.weight.grad.abs().sum(dim=1) > 0).all()
