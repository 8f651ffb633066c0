import math

import numpy as np
import pytest
import torch

from dff.evaluation import OUT_OF_REACH, evaluate, metrics_of, rank_targets
from dff.floors import floors
from dff.interactions import Interactions
from dff.recipe import build_recipe
from dff.run import build_model
from dff.split import gather_windows, leave_one_out
from dff.training_rows import length_groups, shuffled_batches, training_windows


def toy_split(*sequences, extra=()):
    listed = [sequence.split() for sequence in sequences]
    return leave_one_out(Interactions([f"u{n}" for n in range(len(listed))], listed, 0), extra)


def rank(scores, history, target):
    histories = torch.tensor([history or [0]])
    mask = torch.tensor([[bool(history)] * histories.shape[1]])
    return int(rank_targets(torch.tensor([scores]), histories, mask, torch.tensor([target])))


def test_the_last_item_is_for_test_the_one_before_for_valid_the_rest_for_training():
    split = toy_split("a b c d e", "c b a f g", extra=["h"])
    assert split.item_ids == ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert split.trained == 3  # d to h never occur in a training part
    assert [split.item_ids[i] for i in split.items[split.target_places("valid")]] == ["d", "f"]
    assert [split.item_ids[i] for i in split.items[split.target_places("test")]] == ["e", "g"]
    assert split.table_rows().tolist() == [1, 2, 3, 4, 4, 4, 4, 4]
    assert split.train_counts().tolist() == [2, 2, 2, 0, 0, 0, 0, 0]
    assert split.cold_targets().tolist() == [True, True]


def test_number_ids_are_ordered_by_number():
    assert toy_split("10 9 2 1 3").item_ids == ["2", "9", "10", "1", "3"]


def test_ranks_count_ties_against_the_target_and_leave_the_history_out():
    scores = [0.9, 0.5, 0.5, 0.7, 0.1]
    assert rank(scores, [], 1) == 4  # 0.9, 0.7 and the tie stand before it
    assert rank(scores, [0, 3], 1) == 2
    assert rank(scores, [0, 0, 2, 3], 1) == 1  # a repeated history item is left out once
    assert rank(scores, [4], 1) == 4
    assert rank([1.0] * 5, [], 4) == 5


def test_a_score_that_is_no_number_is_never_a_hit():
    assert rank([math.nan] * 5, [], 2) == 5
    assert rank([math.nan] * 5, [0, 1], 2) == 3  # of those that are left
    assert rank([1.0, math.nan, 0.5], [], 2) == 3


def test_a_target_in_the_users_own_history_can_never_be_hit():
    assert rank([0.1, 0.9, 0.2], [1, 2], 1) == OUT_OF_REACH


def test_metrics_agree_with_a_hand_computation():
    metrics = metrics_of(np.array([1, 3, 11, 30]))
    assert metrics["hr@10"] == pytest.approx(2 / 4)
    assert metrics["hr@20"] == pytest.approx(3 / 4)
    assert metrics["ndcg@10"] == pytest.approx((1 + 1 / 2) / 4)
    assert metrics["ndcg@20"] == pytest.approx((1 + 1 / 2 + 1 / math.log2(12)) / 4)


def test_no_targets_at_all_measure_as_zero():
    assert set(metrics_of(np.array([], dtype=np.int64)).values()) == {0.0}


def test_windows_are_padded_on_the_left():
    items, mask = gather_windows(np.arange(10, 20), np.array([0, 4]), np.array([3, 5]))
    assert mask.tolist() == [[True, True, True], [False, False, True]]
    assert items[0].tolist() == [10, 11, 12] and items[1, 2] == 14


@pytest.mark.parametrize("rows", ["sequences", "prefixes"])
def test_every_training_item_but_a_users_first_is_a_target_once(rows):
    split = toy_split("a b c d e f g h i j", "a b c d", "b c d")
    targets = []
    for begin, end in training_windows(split, 3, rows):
        assert end - begin <= 4
        targets += [end - 1] if rows == "prefixes" else range(begin + 1, end)
    assert sorted(targets) == [1, 2, 3, 4, 5, 6, 7, 11]  # users hold places 0 to 9, 10 to 13, 14 to 16


def test_batches_hold_every_row_once_in_an_order_of_seed_and_epoch():
    windows = np.stack([np.arange(100), np.arange(100) + 1 + np.arange(100) % 7], axis=1)
    first, again, other = (np.concatenate(list(shuffled_batches(windows, 8, 1, epoch))) for epoch in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(np.sort(first[:, 0]), np.arange(100))


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_length_groups_hold_every_row_of_a_batch_once_from_short_to_long(count):
    windows = np.stack([np.arange(count), np.arange(count) + 2 + np.arange(count) % 13], axis=1)
    groups = length_groups(windows)
    assert all(len(group) for group in groups)
    assert np.array_equal(np.sort(np.concatenate(groups)[:, 0]), np.arange(count))
    lengths = np.concatenate([group[:, 1] - group[:, 0] for group in groups])
    assert np.array_equal(lengths, np.sort(lengths))


def test_a_never_trained_item_is_scored_through_the_unknown_row():
    split = toy_split("a b c d e", "c b a f g", extra=["h"])
    model = build_model(build_recipe("default", dim=8, max_history=4, variant="id"), split, None)
    metrics = evaluate(model, split, None, "test")
    assert metrics["hr@10"] == 1.0  # eight items in all
    assert metrics["ndcg@10"] < 1.0  # e and g share the unknown item's vector with others, and ties count against them


def test_pairs_are_counted_in_parts(world, monkeypatch):
    whole = floors(world.split)
    monkeypatch.setattr("dff.floors.USERS_AT_ONCE", 7)
    assert floors(world.split) == whole


def test_floors_follow_the_same_protocol(world):
    measured = floors(world.split)
    # Users stay within a cluster of ten items, so its neighbours nearly always hold the target; popularity knows nothing of it.
    assert measured["item_knn"]["hr@10"] > 0.95
    assert measured["popularity"]["hr@10"] < 0.3
