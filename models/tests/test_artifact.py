import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file, save_file

from dff.errors import DataError
from dff.export import Description, export
from dff.item_tower import VARIANTS
from dff.recipe import build_recipe
from dff.run import build_model
from dff.verify import largest_error, verify

EXTRACTOR = {"model": "toy", "revision": "1", "pooling": "mean"}
TRAINING = {"data_set": "toy", "users": 1, "items": 1, "interactions": 1, "seed": 0, "metrics": {}}


def make_artifact(world, folder, variant="dff", **changes):
    """An untrained but random model, exported; verification does not ask how good it is."""
    states = None if variant == "id" else world.hidden_states
    model = build_model(build_recipe("default", **{"variant": variant, "dim": 16, "max_history": 6, **changes}), world.split, states)
    layers = [] if states is None else world.features.layers
    about = Description("toy", "1", layers, EXTRACTOR, TRAINING)
    export(model, world.split.item_ids[: world.split.trained], states, about, folder)
    return model.eval()


@pytest.fixture(scope="module")
def artifact(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "artifact"
    make_artifact(world, folder)
    return folder


def copied(artifact, tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    for path in artifact.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def redigest(folder, name):
    """Makes the manifest agree with a changed file, so that a later check has to notice."""
    manifest = json.loads((folder / "model.json").read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "model.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "changes", [{}, {"norm_first": True}, {"attention_bias": False}, {"standardise": False}, {"neighbours": 0}], ids=str
)
def test_onnx_runtime_gives_what_pytorch_gives(world, tmp_path, changes):
    make_artifact(world, tmp_path / "artifact", **changes)
    verdict = verify(tmp_path / "artifact")
    assert max(verdict.item_error, verdict.user_error, verdict.short_history_error) <= 1e-4


def test_new_and_known_items_alone_and_together_get_what_pytorch_gives(world, tmp_path):
    """New ones stand beside twenty clips that are all alike, so none of their neighbours is told from the next."""
    states = world.hidden_states.clone()
    states[:20] = states[:1]
    model = build_model(build_recipe("default", dim=16, max_history=6), world.split, states).eval()
    about = Description("toy", "1", world.features.layers, EXTRACTOR, TRAINING)
    export(model, world.split.item_ids[: world.split.trained], states, about, tmp_path / "artifact")
    session = onnxruntime.InferenceSession(str(tmp_path / "artifact" / "item_tower.onnx"), providers=["CPUExecutionProvider"])
    unknown = world.split.trained + 1
    new = torch.cat([states[:1] + 1e-3, torch.randn(3, *states.shape[1:], generator=torch.Generator().manual_seed(4))])
    for rows, given in (
        (torch.tensor([1, 2, 90]), states[[0, 1, 89]]),
        (torch.full((4,), unknown), new),
        (torch.tensor([90, unknown, 1, unknown]), torch.stack([states[89], new[0], states[0], new[1]])),
    ):
        with torch.no_grad():
            expected, _ = model.item_tower(rows, given)
        found, _ = session.run(None, {"item_index": rows.numpy(), "hidden_states": given.numpy()})
        assert np.abs(found - expected.numpy()).max() <= 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_asks_only_for_the_inputs_it_uses(world, tmp_path, variant):
    make_artifact(world, tmp_path / "artifact", variant)
    session = onnxruntime.InferenceSession(str(tmp_path / "artifact" / "item_tower.onnx"), providers=["CPUExecutionProvider"])
    inputs = {"dff": ["item_index", "hidden_states"], "id": ["item_index"], "replacement": ["hidden_states"]}
    assert [node.name for node in session.get_inputs()] == inputs[variant]
    assert [node.name for node in session.get_outputs()] == ["item_vector", "id_share"]
    golden = load_file(tmp_path / "artifact" / "golden.safetensors")
    for size in (1, 3):  # the batch axis is dynamic
        feed = {name: golden[f"item.{name}"][:size] for name in inputs[variant]}
        vectors, share = session.run(None, feed)
        assert vectors.shape == (size, 16) and share.shape == (size,)
        assert vectors.dtype == share.dtype == np.float32
    manifest = json.loads((tmp_path / "artifact" / "model.json").read_text())
    assert manifest["variant"] == variant
    layers, width = (0, 0) if variant == "id" else world.hidden_states.shape[1:]
    assert manifest["layers"]["count"] == len(manifest["layers"]["names"]) == len(manifest["layer_weights"]) == layers
    assert manifest["hidden_dim"] == width


def test_the_manifest_describes_the_artifact(world, artifact):
    manifest = json.loads((artifact / "model.json").read_text())
    assert manifest["format"] == "reelfuse-dff" and manifest["format_version"] == 1
    assert manifest["similarity"] == "cosine" and manifest["temperature"] == 0.07 and manifest["padding_side"] == "left"
    ids = (artifact / "item_ids.txt").read_text().splitlines()
    assert ids == world.split.item_ids[: world.split.trained]
    assert manifest["item_count"] == len(ids) and manifest["unknown_item_row"] == len(ids) + 1
    norms = world.hidden_states[: len(ids)].norm(dim=-1)
    assert manifest["hidden_state_norm"]["mean"] == pytest.approx(norms.mean(dim=0).tolist(), rel=1e-5)
    assert manifest["hidden_state_norm"]["std"] == pytest.approx(norms.std(dim=0, unbiased=False).tolist(), rel=1e-4)
    assert sum(manifest["layer_weights"]) == pytest.approx(1)
    assert set(manifest["files"]) == {"golden.safetensors", "item_ids.txt", "item_tower.onnx", "user_tower.onnx", "user_tower_int8.onnx"}
    assert verify(artifact).fingerprint == hashlib.sha256((artifact / "model.json").read_bytes()).hexdigest()


def test_an_8_bit_tower_that_loses_too_much_is_left_out(world, tmp_path, monkeypatch):
    monkeypatch.setattr("dff.verify.INT8_TOLERANCE", 1e-9)
    make_artifact(world, tmp_path / "artifact")
    assert "user_tower_int8.onnx" not in json.loads((tmp_path / "artifact" / "model.json").read_text())["files"]
    assert not (tmp_path / "artifact" / "user_tower_int8.onnx").exists()
    assert verify(tmp_path / "artifact").int8_error is None


def test_another_user_may_read_every_file_that_anyone_may(artifact):
    """A server seldom runs as the user who trained."""
    modes = {path.name: oct(path.stat().st_mode) for path in artifact.iterdir()}
    assert set(modes.values()) == {modes["model.json"]}


def test_golden_examples_cover_unknown_featureless_short_and_full(artifact):
    golden = load_file(artifact / "golden.safetensors")
    unknown = json.loads((artifact / "model.json").read_text())["unknown_item_row"]
    featureless = ~golden["item.hidden_states"].any(axis=(1, 2))
    is_unknown = golden["item.item_index"] == unknown
    assert (is_unknown & featureless).any()
    assert (is_unknown & ~featureless).any() and (~is_unknown & featureless).any() and (~is_unknown & ~featureless).any()
    assert golden["user.mask"].dtype == bool
    lengths = golden["user.mask"].sum(axis=1)
    assert lengths.min() == 1 and lengths.max() == golden["user.mask"].shape[1] == 6


@pytest.mark.parametrize("name", ["golden.safetensors", "item_ids.txt", "item_tower.onnx", "user_tower.onnx"])
def test_a_changed_or_missing_file_is_named(artifact, tmp_path, name):
    folder = copied(artifact, tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: its SHA-256"):
        verify(folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name}: missing"):
        verify(folder)


def test_a_graph_that_computes_something_else_is_refused_though_its_digest_fits(world, artifact, tmp_path):
    make_artifact(world, tmp_path / "other", seed=1)
    for name, what in (("item_tower.onnx", "item_vector differs"), ("user_tower.onnx", "user_vector differs")):
        (tmp_path / name).mkdir()
        folder = copied(artifact, tmp_path / name)
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
        redigest(folder, name)
        with pytest.raises(DataError, match=f"{name}: {what}"):
            verify(folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("item_ids.txt", b"a\n", "1 ids"),
        ("user_tower.onnx", b"no graph", "ONNX Runtime cannot load it"),
        ("golden.safetensors", b"torn", "not a valid safetensors file"),
    ],
)
def test_unusable_content_is_refused_though_its_digest_fits(artifact, tmp_path, name, content, reason):
    folder = copied(artifact, tmp_path)
    (folder / name).write_bytes(content)
    redigest(folder, name)
    with pytest.raises(DataError, match=f"{name}: {reason}"):
        verify(folder)


def test_golden_examples_of_other_shapes_are_refused(artifact, tmp_path):
    folder = copied(artifact, tmp_path)
    golden = load_file(folder / "golden.safetensors")
    save_file({**golden, "user.user_vector": np.zeros((2, 3), dtype=np.float32)}, folder / "golden.safetensors")
    redigest(folder, "golden.safetensors")
    with pytest.raises(DataError, match=r"golden.safetensors: user\.\w+ has shape"):
        verify(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "other"}', '{"format": "reelfuse-dff", "format_version": 1}'])
def test_a_folder_without_a_proper_manifest_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="model.json"):
        verify(tmp_path)
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(DataError, match="model.json"):
        verify(tmp_path)


def test_an_export_that_fails_leaves_the_old_artifact_alone(world, tmp_path):
    folder = tmp_path / "artifact"
    make_artifact(world, folder)
    before = verify(folder)
    model = build_model(build_recipe("default", dim=16), world.split, world.hidden_states)
    with torch.no_grad():
        model.user_tower.position.weight.fill_(float("nan"))
    about = Description("toy", "2", world.features.layers, EXTRACTOR, TRAINING)
    with pytest.raises(DataError, match="user_vector differs"):
        export(model, world.split.item_ids[: world.split.trained], world.hidden_states, about, folder)
    assert verify(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]
    make_artifact(world, folder, seed=1)
    assert verify(folder).fingerprint != before.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_long_vectors_may_differ_by_what_float32_rounds_them_by():
    wanted = np.array([[700.0, -3.0]], dtype=np.float32)
    assert largest_error(Path("t.onnx"), "v", wanted + 0.03, wanted) < 1e-4
    for given, golden in ((wanted + 0.3, wanted), (wanted / 700 + 0.0003, wanted / 700)):
        with pytest.raises(DataError, match="t.onnx: v differs"):
            largest_error(Path("t.onnx"), "v", given, golden)
