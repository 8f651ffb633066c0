import pytest
import torch
from torch.nn import functional

from dff import neighbours as module
from dff.item_tower import ItemTower
from dff.neighbours import find_neighbours, weigh
from dff.principal_axes import principal_axes

ITEMS, LAYERS, WIDTH, DIM, COUNT = 30, 3, 7, 8, 4
UNKNOWN = ITEMS + 1


def neighbours_of(means, counts):
    return find_neighbours(means, principal_axes(means), counts, COUNT)


def world(seed=0):
    """A tower with neighbours, and the raw hidden states (N, L, D) that they were found in; the item of row 6 has none."""
    torch.manual_seed(seed)
    states = torch.randn(ITEMS, LAYERS, WIDTH) * 2 + 1
    states[5] = 0
    tower = ItemTower("dff", ITEMS, DIM, LAYERS, WIDTH, "linear")
    torch.nn.init.normal_(tower.id_embedding.weight[1:])
    tower.fit_standardisation(states)
    tower.neighbours = neighbours_of(tower.layer_means(states), torch.arange(ITEMS))
    return tower.eval(), states


def cosines_of(tower, states):
    codes = functional.normalize(tower.standardise(states).mean(dim=1), dim=1)  # all axes are kept: there are fewer than CODE_DIM
    return codes @ codes.T


def lent_by_hand(tower, cosines, able):
    """What the items of `able` lend, one after another, to one that has these cosines with them."""
    ranked = sorted(able, key=lambda other: -cosines[other])[: COUNT + 1]
    ahead = [float(cosines[other] - cosines[ranked[-1]]) for other in ranked[:-1]]
    table = tower.id_embedding.weight
    return sum(weight / (sum(ahead) + module.TIED) * table[other + 1] for weight, other in zip(ahead, ranked, strict=False))


def identities(tower, rows, states):
    return tower.identity(rows, *tower.neighbours.of_rows(rows, tower.standardise(states).mean(dim=1), UNKNOWN))


def test_an_item_borrows_from_those_most_alike_and_not_from_itself():
    tower, states = world()
    cosines = cosines_of(tower, states)
    lent = identities(tower, torch.arange(1, ITEMS + 1), states) - tower.id_embedding.weight[1 : ITEMS + 1]
    for item in [0, 4, 17, 29]:
        able = [other for other in range(ITEMS) if other not in (item, 5)]
        assert torch.allclose(lent[item], lent_by_hand(tower, cosines[item], able), atol=1e-5)


def test_an_item_without_features_neither_borrows_nor_lends():
    tower, states = world()
    assert torch.equal(identities(tower, torch.tensor([6]), states[5:6])[0], tower.id_embedding.weight[6])
    assert torch.equal(identities(tower, torch.tensor([UNKNOWN]), states[5:6])[0], tower.id_embedding.weight[UNKNOWN])
    assert 6 not in tower.neighbours.lender_rows.tolist()


def test_an_unknown_item_borrows_as_if_it_had_been_there():
    tower, states = world()
    new = torch.randn(2, LAYERS, WIDTH)
    found = identities(tower, torch.tensor([UNKNOWN, 3, UNKNOWN]), torch.cat([new[:1], states[2:3], new[1:]]))
    everything = cosines_of(tower, torch.cat([states, new]))
    able = [other for other in range(ITEMS) if other != 5]
    for place, item in ((0, ITEMS), (2, ITEMS + 1)):
        expected = tower.id_embedding.weight[UNKNOWN] + lent_by_hand(tower, everything[item], able)
        assert torch.allclose(found[place], expected, atol=1e-5)
    assert torch.allclose(found[1], identities(tower, torch.tensor([3]), states[2:3])[0])


def test_training_borrows_as_serving_does_also_for_a_dropped_id():
    tower, states = world()
    rows, dropped = torch.arange(1, ITEMS + 1), torch.arange(ITEMS) % 3 == 0
    served, _ = tower(rows, states)
    tower.train()
    standardised = tower.standardise(states)
    assert torch.allclose(tower.for_training(rows, standardised, 2.0)[0], served, atol=1e-5)
    with_unknown = tower.for_training(rows, standardised, 2.0, dropped)[0]
    with torch.no_grad():
        tower.id_embedding.weight[UNKNOWN] += 1
    changed = (tower.for_training(rows, standardised, 2.0, dropped)[0] - with_unknown).abs().amax(dim=1) > 0
    assert torch.equal(changed, dropped)


def test_lenders_learn_from_what_they_lend():
    tower, states = world()
    tower.train()
    tower.for_training(torch.tensor([1]), tower.standardise(states[:1]), 1.0)[0].sum().backward()
    moved = tower.id_embedding.weight.grad.any(dim=1).nonzero().squeeze(1).tolist()
    assert set(moved) == {1, *tower.neighbours.rows[1].tolist()}


@pytest.mark.parametrize("place", range(COUNT))
def test_two_items_that_change_places_change_next_to_nothing(place):
    """Between neighbours, and at the border between the last one and the first that is left out."""
    tower, _ = world()
    found = tower.neighbours
    code = found.lender_codes[:1] + 0.3
    ranked = (code @ found.lender_codes.T)[0].topk(COUNT + 1).indices
    ahead, behind = found.lender_codes[ranked[place]].clone(), found.lender_codes[ranked[place + 1]].clone()
    middle = (ahead + behind) / 2  # both as alike as each other
    lent = []
    for nudge in (1e-6, -1e-6):
        found.lender_codes[ranked[place]] = middle * (1 + nudge)
        found.lender_codes[ranked[place + 1]] = middle * (1 - nudge)
        lenders, weights = found.nearest(code)
        lent.append((weights.unsqueeze(-1) * tower.id_embedding.weight[lenders]).sum(dim=1))
    assert torch.allclose(lent[0], lent[1], atol=1e-4)


def test_items_that_are_all_alike_lend_nothing_rather_than_at_random():
    assert torch.equal(weigh(torch.full((2, 5), 0.8)), torch.zeros(2, 4))


@pytest.mark.parametrize(("items", "expected"), [(1, None), (2, None), (3, 1), (5, 3), (6, 4), (9, 4)])
def test_few_items_have_fewer_neighbours(items, expected):
    torch.manual_seed(1)
    states = torch.randn(items, LAYERS, WIDTH)
    tower = ItemTower("dff", items, DIM, LAYERS, WIDTH)
    tower.fit_standardisation(states)
    tower.neighbours = neighbours_of(tower.layer_means(states), torch.ones(items))
    assert (tower.neighbours and tower.neighbours.count) == expected
    assert tower(torch.tensor([1, items + 1]), states[:1].expand(2, -1, -1))[0].shape == (2, DIM)


def test_of_too_many_items_those_with_the_most_interactions_lend(monkeypatch):
    monkeypatch.setattr(module, "MOST_LENDERS", 10)
    means, counts = torch.randn(ITEMS, WIDTH), torch.arange(ITEMS).flip(0)
    found = neighbours_of(means, counts)
    assert found.lender_rows.tolist() == list(range(1, 11))
    assert set(found.rows[1:-1].flatten().tolist()) <= set(range(1, 11))
    own = torch.arange(1, ITEMS + 1).unsqueeze(1)
    assert not (found.rows[1:-1] == own).any()
