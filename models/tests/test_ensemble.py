import json

import pytest
import torch
from conftest import make_world
from torch.nn import functional

from dff.cli import main
from dff.ensemble import combine
from dff.errors import DataError
from dff.evaluation import catalogue_vectors
from dff.recipe import build_recipe
from dff.run import build_model
from dff.verify import read_manifest, verify

QUICK = ["--dim", "8", "--max-history", "6", "--batch-size", "64", "--epochs", "2", "--lr", "0.01", "--threads", "1"]


def pair_of(world, **changes):
    states = None if changes.get("variant") == "id" else world.hidden_states
    recipes = [build_recipe("default", **{"dim": 8, "max_history": 6, **changes}, seed=seed) for seed in (0, 1)]
    members = [build_model(recipe, world.split, states).eval() for recipe in recipes]
    with torch.no_grad():
        for parameter in members[1].item_tower.parameters():
            parameter.mul_(3)  # another scale than the first
    vectors = [catalogue_vectors(member, world.split, states) for member in members]
    return members, vectors, combine(members, vectors), states


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("variant", ["dff", "id", "replacement"])
@torch.no_grad()
def test_the_joined_model_adds_what_its_members_score(world, similarity, variant):
    members, vectors, joined, states = pair_of(world, similarity=similarity, variant=variant)
    both = catalogue_vectors(joined, world.split, states)
    history, mask = torch.tensor([[3, 1, 4, 5]]), torch.ones(1, 4, dtype=torch.bool)
    given = joined.queries(joined.user_tower(both[history], mask)) @ joined.keys(both).T
    scores = [
        member.queries(member.user_tower(own[history], mask)) @ member.keys(own).T for member, own in zip(members, vectors, strict=True)
    ]
    if similarity == "dot":
        assert torch.allclose(given, scores[0] + scores[1], rtol=1e-4, atol=1e-5)
    else:
        weights = torch.stack([own.norm(dim=1) / own.norm(dim=1).mean() for own in vectors])
        weights = functional.normalize(weights, dim=0)  # 1 / sqrt(2) where both vectors of a clip are of average length
        assert torch.allclose(given, (weights[0] * scores[0] + weights[1] * scores[1]) / 2**0.5, rtol=1e-4, atol=1e-4)


def test_models_whose_scores_cannot_be_added_are_not_joined(world):
    (first, _), vectors, _, _ = pair_of(world)
    other = build_model(build_recipe("default", dim=8, max_history=6, temperature=0.2), world.split, world.hidden_states)
    with pytest.raises(DataError, match=r"different temperature cannot be combined: 0\.07, 0\.2"):
        combine([first, other], vectors)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs that differ in their seed, and one of IDs only."""
    folder = tmp_path_factory.mktemp("runs")
    pairs, features = make_world(users=120).write(folder)
    for name, flags in (("a", ["--seed", "0"]), ("b", ["--seed", "1"]), ("id", ["--variant", "id"])):
        assert (
            main(
                [
                    "run",
                    "--interactions",
                    str(pairs),
                    "--features",
                    str(features),
                    "--out",
                    str(folder / name),
                    "--no-comparison",
                    *QUICK,
                    *flags,
                ]
            )
            == 0
        )
    return folder, pairs, features


def joined(runs, *names, interactions=None):
    folder, pairs, features = runs
    given = ["--interactions", str(interactions or pairs), "--features", str(features), "--out", str(folder / "both")]
    return main(["combine", "--runs", *(str(folder / name) for name in names), *given])


def test_two_runs_become_one_artifact_as_wide_as_both(runs, capsys):
    assert joined(runs, "a", "b") == 0
    assert "2 × dff" in capsys.readouterr().out
    folder = runs[0] / "both"
    manifest, _ = read_manifest(folder / "artifact")
    assert (manifest["dim"], manifest["variant"], manifest["max_history"]) == (16, "dff", 6)
    assert sum(manifest["layer_weights"]) == pytest.approx(1)
    assert verify(folder / "artifact").user_error < 1e-4
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [member["recipe"]["seed"] for member in metrics["members"]] == [0, 1]
    assert manifest["training"]["metrics"]["test"] == metrics["test"]


def test_runs_that_do_not_belong_together_are_refused_by_name(runs, tmp_path, capsys):
    other, _ = make_world(users=90).write(tmp_path)
    for names, pairs, reason in (
        (["a"], None, "1 run given; expected two or more"),
        (["a", "a"], None, "has the recipe and the seed of"),
        (["a", "id"], None, "is of variant id"),
        (["a", "absent"], None, "cannot be read"),
        (["a", "b"], other, "was trained on other interactions than"),
    ):
        assert joined(runs, *names, interactions=pairs) != 0
        assert reason in capsys.readouterr().err
