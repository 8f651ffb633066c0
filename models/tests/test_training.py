import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from dff.errors import DataError
from dff.evaluation import evaluate
from dff.floors import popularity
from dff.recipe import build_recipe
from dff.run import build_model
from dff.training import batch_rows, rate_at, standardised_states, train

QUICK = {"dim": 16, "max_history": 8, "batch_size": 64, "epochs": 6, "lr": 1e-2, "dropout": 0.1, "min_steps": 1}


def trained(world, folder, resume=False, stop_after=None, **changes):
    """Trains on the world; `stop_after` breaks off after that epoch as a killed process would."""
    recipe = build_recipe(changes.pop("preset", "default"), **{**QUICK, **changes})
    states = None if recipe.variant == "id" else world.hidden_states
    model = build_model(recipe, world.split, states)

    def after_epoch(progress):
        if progress.epoch == stop_after:
            raise KeyboardInterrupt

    progress = train(model, recipe, world.split, states, folder / "checkpoint.pt", resume, after_epoch=after_epoch)
    return model, progress, states


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"variant": "id"},
        {"variant": "replacement"},
        {"rows": "prefixes"},
        {"loss": "in-batch"},
        {"loss": "in-batch", "log_q": True},
        {"similarity": "dot"},
        {"preset": "authors"},
    ],
    ids=str,
)
def test_training_learns_and_beats_popularity(world, tmp_path, changes):
    model, progress, states = trained(world, tmp_path, **changes)
    assert progress.curve[-1]["loss"] < progress.curve[0]["loss"]
    assert evaluate(model, world.split, states, "test")["hr@10"] > 2 * popularity(world.split)["hr@10"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(world, tmp_path):
    first, again, other = (trained(world, tmp_path, epochs=1, seed=seed)[0].state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_a_resumed_run_ends_exactly_where_an_uninterrupted_one_does(world, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, progress, _ = trained(world, tmp_path / "whole", epochs=4)
    with pytest.raises(KeyboardInterrupt):
        trained(world, tmp_path / "broken", epochs=4, stop_after=2)
    resumed, continued, _ = trained(world, tmp_path / "broken", epochs=4, resume=True)
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())
    without_time = [[{key: point[key] for key in point if key != "seconds"} for point in run.curve] for run in (progress, continued)]
    assert without_time[0] == without_time[1]


def test_a_run_cannot_be_resumed_with_another_recipe(world, tmp_path):
    trained(world, tmp_path, epochs=1)
    with pytest.raises(DataError, match="differs in epochs, lr"):
        trained(world, tmp_path, epochs=2, lr=1e-3, resume=True)


def test_a_run_cannot_be_resumed_with_other_features_of_the_same_shape(world, tmp_path):
    trained(world, tmp_path, epochs=1)
    with pytest.raises(DataError, match="differs in features"):
        trained(dataclasses.replace(world, hidden_states=world.hidden_states + 1), tmp_path, epochs=1, resume=True)


def test_training_that_diverges_is_ended_by_name(world, tmp_path):
    broken = world.hidden_states.clone()
    broken[0] = torch.nan
    with pytest.raises(DataError, match=r"the loss is nan in step 1 of epoch 1"):
        trained(dataclasses.replace(world, hidden_states=broken), tmp_path, epochs=1, neighbours=0, principal_start=False)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_raw_states_beyond_float16_stay_finite(world, monkeypatch):
    monkeypatch.setattr("dff.training.FLOAT32_LIMIT", 0)
    model = SimpleNamespace(item_tower=SimpleNamespace(standardise=lambda part: part * 1e6))
    states = standardised_states(model, world.hidden_states, torch.device("cpu"))
    assert states.dtype == torch.float16 and states.isfinite().all() and float(states.max()) == 65504


@pytest.mark.parametrize(
    ("changes", "borrows"), [({}, True), ({"neighbours": 0}, False), ({"variant": "replacement"}, False), ({"preset": "authors"}, False)]
)
def test_only_fused_items_borrow(world, changes, borrows):
    recipe = build_recipe(changes.pop("preset", "default"), **{**QUICK, **changes})
    assert (build_model(recipe, world.split, world.hidden_states).item_tower.neighbours is not None) == borrows


def test_a_torn_checkpoint_is_refused(world, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(DataError, match="not a checkpoint"):
        trained(world, tmp_path, resume=True)


def test_training_stops_when_valid_no_longer_improves_and_keeps_the_best_weights(world, tmp_path):
    model, progress, states = trained(world, tmp_path, epochs=40, patience=2, schedule="constant")
    assert progress.epoch == progress.best_epoch + 2 < 40
    assert evaluate(model, world.split, states, "valid")["ndcg@10"] == progress.best_valid


@pytest.mark.parametrize("measure", ["hr@10", "ndcg@20"])
def test_the_epoch_is_chosen_by_the_measure_of_the_recipe(world, tmp_path, measure):
    model, progress, states = trained(world, tmp_path, epochs=5, lr=3e-2, chosen_by=measure)
    best = max(point[measure] for point in progress.curve)
    assert progress.curve[progress.best_epoch - 1][measure] == best
    assert evaluate(model, world.split, states, "valid")[measure] == best


def test_id_dropout_trains_the_unknown_item_which_is_the_mean_of_all_without(world, tmp_path):
    with_it, without = (trained(world, tmp_path, epochs=1, id_dropout=rate)[0].item_tower.id_embedding.weight for rate in (0.2, 0.0))
    torch.testing.assert_close(without[-1], without[1:-1].mean(dim=0))
    assert not torch.allclose(with_it[-1], with_it[1:-1].mean(dim=0), atol=1e-3)


def test_items_held_out_of_training_are_found_by_their_features(world, tmp_path):
    """An untrained item's vector stands near those of its own cluster."""
    model, _, _ = trained(world, tmp_path, epochs=8, id_dropout=0.3)
    unknown = torch.full((len(world.hidden_states),), world.split.trained + 1)
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(model.item_tower(unknown, world.hidden_states)[0], dim=1)
    clusters = torch.tensor([int(item.removeprefix("video")) // 10 for item in world.split.item_ids])
    nearest = (vectors @ vectors.T - 2 * torch.eye(len(vectors))).argmax(dim=1)
    assert (clusters[nearest] == clusters).float().mean() > 0.8


@pytest.mark.parametrize(("rows", "batch"), [(1_000_000, 512), (50_000, 512), (3_000, 46), (100, 16)])
def test_few_rows_go_in_small_batches(rows, batch):
    assert batch_rows(build_recipe("default"), rows) == batch
    assert batch_rows(build_recipe("default", batch_size=8), rows) == 8


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="this PyTorch does not compile")
def test_the_user_tower_is_compiled_in_one_piece_for_any_batch_and_length(world):
    """What a GPU runs, as far as it can be had without one: the captured graph, with its gradients, on PyTorch's own kernels."""
    tower = build_model(build_recipe("default", **QUICK | {"dropout": 0.0}), world.split, world.hidden_states).user_tower
    captured = torch.compile(tower.all_positions, backend="aot_eager", dynamic=True, fullgraph=True)
    for size, length in ((3, 4), (5, 8), (2, 7)):
        vectors, mask = torch.randn(size, length, 16, requires_grad=True), torch.rand(size, length) > 0.3
        plain, same = tower.all_positions(vectors, mask), captured(vectors, mask)
        torch.testing.assert_close(same, plain)
        slopes = [torch.autograd.grad(out.square().sum(), vectors)[0] for out in (plain, same)]
        torch.testing.assert_close(*slopes)


def test_the_learning_rate_climbs_and_falls():
    recipe = build_recipe("default", lr=1.0)
    rates = [rate_at(recipe, step, 1000) for step in range(1000)]
    assert rates[0] < 0.1 and max(rates) == pytest.approx(1.0) and rates[-1] < 0.03
    assert rate_at(dataclasses.replace(recipe, schedule="constant"), 999, 1000) == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"dim": 0},
        {"loss": "hinge"},
        {"dropout": 1.0},
        {"dim": 15},
        {"temperature": 0.0},
        {"content_gain": 0.0},
        {"neighbours": -1},
        {"seed": -1},
        {"weight_decay": -0.1},
        {"lr": math.nan},
        {"temperature": math.inf},
        {"chosen_by": "auc"},
        {"variant": "both"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_named(change):
    with pytest.raises(DataError, match=next(iter(change))):
        build_recipe("default", **change)


def test_a_larger_gain_leaves_more_of_the_vectors_to_the_features(world, tmp_path):
    def relative_content(gain):
        folder = tmp_path / str(gain)
        folder.mkdir()
        # without neighbours, whose IDs can say in so small a world what features say
        tower = trained(world, folder, epochs=4, content_gain=gain, content_start=1.0, neighbours=0)[0].item_tower
        states = tower.standardise(world.hidden_states[: world.split.trained])
        rows = torch.arange(1, world.split.trained + 1)
        with torch.no_grad():
            vectors, keys = tower.for_training(rows, states, content_gain=2)
        content = 2 * (vectors - keys)
        return float((content.norm(dim=1) / (vectors - content).norm(dim=1)).mean())

    assert relative_content(16.0) > 1.2 * relative_content(1.0)


def test_states_are_standardised_where_the_model_is(world):
    seen = []

    def standardise(part):
        seen.append(part.device.type)
        return torch.zeros(part.shape)

    model = SimpleNamespace(item_tower=SimpleNamespace(standardise=standardise))
    states = standardised_states(model, world.hidden_states, torch.device("meta"))
    assert set(seen) == {"meta"} and states.device.type == "meta"


def test_a_dot_product_has_no_temperature_unless_one_is_given():
    assert build_recipe("default", similarity="dot").temperature == 1.0
    assert build_recipe("default", similarity="dot", temperature=0.5).temperature == 0.5
    assert build_recipe("default").temperature == 0.07
    assert build_recipe("authors", similarity="cosine").temperature == 0.07
