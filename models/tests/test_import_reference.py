"""A checkpoint of the paper's authors becomes an artifact whose graphs give the numbers of an independent NumPy implementation."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from reference_numpy import item_vector, random_state, user_vector
from safetensors.torch import save_file

from dff.cli import main
from dff.verify import verify

ITEMS, DIM, WIDTH, LAYERS, LONGEST, BLOCKS, HEADS = 24, 16, 6, 4, 5, 2, 2


@pytest.fixture
def state():
    return random_state(ITEMS, DIM, LAYERS, WIDTH, LONGEST, BLOCKS)


@pytest.fixture
def hidden():
    return np.random.default_rng(2).normal(size=(ITEMS, LAYERS, WIDTH)).astype(np.float32)


def write_inputs(folder, state, hidden, ids=None, prefix="module."):
    """Checkpoint and features; without ids the items are the numbers 1 to N."""
    checkpoint, features = folder / "authors.pt", folder / "features.safetensors"
    tensors = {f"{prefix}{key}": torch.from_numpy(value) for key, value in state.items()}
    torch.save({"epoch": 3, "model_state_dict": tensors}, checkpoint)
    named = [str(number) for number in range(1, len(hidden) + 1)] if ids is None else ids
    metadata = {"item_ids": json.dumps(named), "model": "toy", "revision": "1", "pooling": "mean"}
    save_file({"hidden_states": torch.from_numpy(hidden)}, features, metadata=metadata)
    return ["import-reference", "--checkpoint", str(checkpoint), "--features", str(features), "--out", str(folder / "artifact")]


def graph(folder, name):
    return onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_artifacts_graphs_give_the_numbers_of_the_equations(state, hidden, tmp_path, capsys, prefix):
    assert main([*write_inputs(tmp_path, state, hidden, prefix=prefix), "--name", "paper"]) == 0
    assert "row k of the ID table taken as item k" in capsys.readouterr().out
    artifact = tmp_path / "artifact"
    rows = np.arange(1, ITEMS + 1)
    vectors, shares = graph(artifact, "item_tower.onnx").run(None, {"item_index": rows, "hidden_states": hidden})
    for row in rows:
        wanted, share = item_vector(state, row, hidden[row - 1])
        assert np.abs(vectors[row - 1] - wanted).max() <= 1e-5 and abs(shares[row - 1] - share) <= 1e-5
    history = vectors[[4, 9, 9, 0, 17]]
    users = graph(artifact, "user_tower.onnx")
    for real in range(1, LONGEST + 1):
        mask = np.arange(LONGEST) >= LONGEST - real
        (given,) = users.run(None, {"item_vectors": history[None], "mask": mask[None]})
        assert np.abs(given[0] - user_vector(state, history, mask, HEADS)).max() <= 1e-5
    manifest = json.loads((artifact / "model.json").read_text())
    assert (manifest["name"], manifest["variant"], manifest["similarity"], manifest["temperature"]) == ("paper", "dff", "dot", 1.0)
    assert (manifest["dim"], manifest["max_history"], manifest["item_count"]) == (DIM, LONGEST, ITEMS)
    grown = np.exp(state["weights"])
    assert manifest["layer_weights"] == pytest.approx((grown / grown.sum()).tolist())
    assert verify(artifact).item_error <= 1e-5


def test_weights_that_were_trained_by_cosines_are_served_by_cosines(state, hidden, tmp_path, capsys):
    inputs = write_inputs(tmp_path, state, hidden)
    assert main([*inputs, "--similarity", "cosine", "--temperature", "0.05"]) == 0
    manifest = json.loads((tmp_path / "artifact" / "model.json").read_text())
    assert (manifest["similarity"], manifest["temperature"]) == ("cosine", 0.05)
    assert main([*inputs, "--temperature", "0"]) == 2
    assert "temperature is 0.0; expected more than 0" in capsys.readouterr().err


def test_rows_are_named_by_number_by_order_or_by_a_list(state, hidden, tmp_path, capsys):
    shuffled = [str(number) for number in np.random.default_rng(0).permutation(ITEMS) + 1]
    assert main(write_inputs(tmp_path, state, hidden, shuffled)) == 0  # numbers: item k is row k, whatever the file's order
    assert (tmp_path / "artifact" / "item_ids.txt").read_text().splitlines() == [str(number) for number in range(1, ITEMS + 1)]
    words = [f"clip-{number}" for number in range(ITEMS)]
    assert main(write_inputs(tmp_path, state, hidden, words)) == 0
    assert "taken as row k of features.safetensors" in capsys.readouterr().out
    assert (tmp_path / "artifact" / "item_ids.txt").read_text().splitlines() == words
    listed = tmp_path / "rows.txt"
    listed.write_text("".join(f"{word}\n" for word in reversed(words)), encoding="utf-8")
    assert main([*write_inputs(tmp_path, state, hidden, words), "--item-ids", str(listed)]) == 0
    assert (tmp_path / "artifact" / "item_ids.txt").read_text().splitlines() == words[::-1]
    # The features followed their items to the rows.
    vectors, _ = graph(tmp_path / "artifact", "item_tower.onnx").run(None, {"item_index": np.array([1]), "hidden_states": hidden[-1:]})
    assert np.abs(vectors[0] - item_vector(state, 1, hidden[-1])[0]).max() <= 1e-5


def test_a_state_dict_alone_and_a_safetensors_file_do_as_well(state, hidden, tmp_path):
    command = write_inputs(tmp_path, state, hidden)
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    torch.save(tensors, tmp_path / "bare.pth")
    save_file(tensors, tmp_path / "bare.safetensors")
    fingerprints = set()
    for name in ("bare.pth", "bare.safetensors"):
        assert main([*command, "--checkpoint", str(tmp_path / name)]) == 0
        fingerprints.add(verify(tmp_path / "artifact").fingerprint)
    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"proj.bias": None}, "authors.pt: the state dict lacks proj.bias"),
        ({"proj.bias": np.zeros(3, dtype=np.float32)}, "authors.pt: proj.bias has shape [3]; expected [16]"),
        ({"weights": np.zeros(9, dtype=np.float32)}, "weights is for 9 layers"),
        ({"proj.weight": np.zeros((DIM, 7), dtype=np.float32)}, "proj.weight is for 7 features of a layer"),
        ({"id_encoder.weight": np.zeros((9, DIM), dtype=np.float32)}, "id_encoder.weight has 8 items"),
    ],
)
def test_what_does_not_fit_is_named_by_its_key(state, hidden, tmp_path, capsys, change, reason):
    fitting = {key: value for key, value in (state | change).items() if value is not None}
    assert main(write_inputs(tmp_path, fitting, hidden)) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "artifact").exists()


def test_a_folder_that_is_no_artifact_is_left_alone(state, hidden, tmp_path, capsys):
    command = write_inputs(tmp_path, state, hidden)
    target = tmp_path / "artifact"
    (target / "work").mkdir(parents=True)
    assert main(command) == 2
    assert "artifact: exists and is no artifact" in capsys.readouterr().err
    assert (target / "work").is_dir()
    (target / "work").rmdir()
    assert main(command) == 0 == main(command)  # an empty one is filled, an artifact is replaced


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), (b"torn", "saving its model_state_dict alone"), ([1, 2], "holds a list instead of a state dict")],
)
def test_a_file_that_is_no_checkpoint_is_refused(state, hidden, tmp_path, capsys, content, reason):
    command = write_inputs(tmp_path, state, hidden)
    path = tmp_path / "authors.pt"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert main(command) == 2
    assert "authors.pt" in (message := capsys.readouterr().err) and reason in message


def test_a_list_of_rows_that_does_not_fit_is_refused(state, hidden, tmp_path, capsys):
    (tmp_path / "rows.txt").write_text("a\nb\nb\n", encoding="utf-8")
    assert main([*write_inputs(tmp_path, state, hidden), "--item-ids", str(tmp_path / "rows.txt")]) == 2
    assert "2 different ids in 3 lines; id_encoder.weight has 24 items" in capsys.readouterr().err
    (tmp_path / "rows.txt").write_text("a\u2028b\n" + "".join(f"v{number}\n" for number in range(1, ITEMS)), encoding="utf-8")
    assert main([*write_inputs(tmp_path, state, hidden), "--item-ids", str(tmp_path / "rows.txt")]) == 2
    assert "rows.txt:1: 'a\\u2028b' is no item id" in capsys.readouterr().err
