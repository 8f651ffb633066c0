import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.errors import DataError
from dff.features import align, load_features

HIDDEN = torch.arange(24, dtype=torch.float32).reshape(3, 2, 4) + 1


def write(path, hidden=HIDDEN, ids=("a", "b", "c"), **more):
    metadata = {"item_ids": json.dumps(list(ids)), **more} if ids is not None else {"model": "toy", **more}
    save_file({"hidden_states": hidden}, path, metadata=metadata)
    return path


def test_safetensors_carry_ids_layers_and_extractor(tmp_path):
    path = write(tmp_path / "f.safetensors", HIDDEN.half(), layers='["low", "high"]', model="toy", revision="7", pooling="mean")
    features = load_features(path, {"a"})
    assert features.item_ids == ["a", "b", "c"]
    assert features.layers == ["low", "high"]
    assert features.extractor == {"model": "toy", "revision": "7", "pooling": "mean"}
    assert features.hidden_states.dtype == torch.float16


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden": HIDDEN[0]}, "expected [items, layers, width]"),
        ({"hidden": HIDDEN.long()}, "expected float16 or float32"),
        ({"hidden": HIDDEN[:, :0]}, "no axis may be empty"),
        ({"ids": ("a", "b")}, "2 item ids for 3 rows"),
        ({"ids": ("a", "b", "a")}, "item 'a' stands in rows 0 and 2"),
        ({"ids": ("a", "", "c")}, "row 1 has an empty item id"),
        ({"layers": '["one"]'}, "names 1 layers, hidden_states has 2"),
        ({"layers": "one"}, "not JSON"),
    ],
)
def test_a_features_file_that_does_not_fit_is_refused_with_the_reason(tmp_path, change, reason):
    path = write(tmp_path / "f.safetensors", **change)
    with pytest.raises(DataError) as caught:
        load_features(path, {"a"})
    assert "f.safetensors" in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_numbers_are_named_by_item(tmp_path, value):
    hidden = HIDDEN.clone()
    hidden[1, 0, 0] = value
    with pytest.raises(DataError, match="NaN or infinite hidden states in item b"):
        load_features(write(tmp_path / "f.safetensors", hidden), {"a"})


def test_a_row_that_would_blind_the_standardisation_of_all_others_is_named(tmp_path):
    hidden = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(0))
    hidden[7, 1, 2] = 1e30
    ids = [f"clip-{number}" for number in range(50)]
    path = tmp_path / "f.npy"
    (tmp_path / "f.ids.txt").write_text("".join(f"{item}\n" for item in ids))
    np.save(path, hidden.numpy())
    with pytest.raises(DataError, match="100 times as long .* in item clip-7;"):
        load_features(path, set(ids))
    hidden[7, 1, 2] = 30  # ten times the others
    hidden[8] = 0  # without features
    np.save(path, hidden.numpy())
    assert len(load_features(path, set(ids)).item_ids) == 50


def test_a_file_of_another_kind_or_with_torn_content_is_refused(tmp_path):
    (tmp_path / "f.csv").write_text("x")
    (tmp_path / "f.safetensors").write_text("torn")
    (tmp_path / "f.npy").write_text("torn")
    (tmp_path / "f.pt").write_text("torn")
    for name in ("f.csv", "f.safetensors", "f.npy", "f.pt", "absent.npy"):
        with pytest.raises(DataError, match=name):
            load_features(tmp_path / name, {"a"})


def test_ids_come_from_the_sidecar_where_the_file_has_none(tmp_path):
    np.save(tmp_path / "f.npy", HIDDEN.numpy())
    (tmp_path / "f.ids.txt").write_text("x\ny\nz\n")
    assert load_features(tmp_path / "f.npy", {"x"}).item_ids == ["x", "y", "z"]


def test_a_pytorch_file_may_be_a_tensor_or_a_dict_with_ids(tmp_path):
    torch.save({"hidden_states": HIDDEN, "item_ids": ["x", "y", "z"]}, tmp_path / "dict.pt")
    torch.save({"hidden_states": HIDDEN, "item_ids": torch.tensor([7, 8, 9])}, tmp_path / "numbers.pt")
    torch.save(HIDDEN, tmp_path / "tensor.pt")
    assert load_features(tmp_path / "numbers.pt", {"7"}).item_ids == ["7", "8", "9"]
    assert load_features(tmp_path / "dict.pt", {"x"}).item_ids == ["x", "y", "z"]
    assert load_features(tmp_path / "tensor.pt", {"1", "3"}).item_ids == ["1", "2", "3"]


def test_rows_without_ids_are_numbered_and_the_assumption_is_told(tmp_path):
    path = write(tmp_path / "f.safetensors", ids=None)
    padded = tmp_path / "padded.safetensors"
    save_file({"hidden_states": torch.cat([torch.zeros_like(HIDDEN[:1]), HIDDEN[1:]])}, padded)
    from_one, from_padding = load_features(path, {"1", "3"}), load_features(padded, {"1", "2"})
    assert from_one.item_ids == ["1", "2", "3"] and "row r taken as item r + 1" in from_one.assumption
    assert from_padding.item_ids == ["1", "2"] and "row 0 as padding" in from_padding.assumption
    assert torch.equal(from_padding.hidden_states, HIDDEN[1:])
    for ids in ({"1", "2"}, {"1", "7"}, {"a", "b"}, {"0", "2"}):  # of the first, row 0 may be item 1, and item 3 unwatched
        with pytest.raises(DataError, match="no item ids"):
            load_features(path, ids)


def test_items_without_features_are_an_error_or_become_zero_blocks(tmp_path):
    path = write(tmp_path / "f.safetensors")
    features = load_features(path, {"a"})
    with pytest.raises(DataError, match=r"2 items of the interactions have no features: x, y"):
        align(features, ["c", "x", "y"], path, allow_missing=False)
    aligned = align(features, ["c", "x", "a"], path, allow_missing=True)
    assert torch.equal(aligned[0], HIDDEN[2]) and torch.equal(aligned[2], HIDDEN[0])
    assert not aligned[1].any()
