import pytest
import torch
from torch.nn import functional

from dff import losses
from dff.losses import full_softmax, in_batch


def pair(positions=13, items=9, dim=4, scale=3.0):
    torch.manual_seed(3)
    queries = (torch.randn(positions, dim) * scale).requires_grad_()
    keys = torch.randn(items, dim, requires_grad=True)
    return queries, keys, torch.randint(items, (positions,))


@pytest.mark.parametrize("chunk", [1, 5, 13, 64])
def test_the_chunked_softmax_equals_the_plain_one_with_its_gradients(chunk):
    queries, keys, targets = pair()
    plain = functional.cross_entropy(queries @ keys.T, targets)
    wanted = torch.autograd.grad(plain, (queries, keys))
    loss = full_softmax(queries, keys, targets, chunk)
    given = torch.autograd.grad(loss * 2, (queries, keys))
    assert torch.allclose(loss, plain, atol=1e-5)
    for ours, theirs in zip(given, wanted, strict=True):
        assert torch.allclose(ours, 2 * theirs, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_scores_do_not_overflow(dtype):
    queries, keys, targets = pair(scale=300.0)
    assert torch.isfinite(full_softmax(queries, keys, targets, 4, dtype))


def test_in_half_the_bits_loss_and_gradients_are_off_by_the_rounding_only():
    queries, keys, targets = pair(positions=300, items=200, dim=16)
    wanted = functional.cross_entropy(queries @ keys.T, targets)
    given = full_softmax(queries, keys, targets, 64, torch.bfloat16)
    assert given.dtype == torch.float32
    assert torch.allclose(given, wanted, rtol=0.01)
    for ours, theirs in zip(torch.autograd.grad(given, (queries, keys)), torch.autograd.grad(wanted, (queries, keys)), strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 0.02


@pytest.mark.parametrize(
    ("flags", "precision", "dtype"),
    [
        ("avx2 avx512_bf16", "auto", torch.bfloat16),
        ("avx2 amx_bf16", "auto", torch.bfloat16),
        ("avx2 avx512f", "auto", torch.float32),
        (None, "auto", torch.float32),
        ("avx2", "bfloat16", torch.bfloat16),
        ("avx512_bf16", "float32", torch.float32),
    ],
)
def test_bfloat16_is_taken_where_the_processor_multiplies_in_it_or_where_it_is_asked_for(tmp_path, monkeypatch, flags, precision, dtype):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"flags : fpu {flags}\n")
    monkeypatch.setattr(losses, "CPU_FLAGS", tmp_path / "cpuinfo")
    assert losses.softmax_dtype(precision, torch.device("cpu")) is dtype


def naive_in_batch(queries, occurrences, columns_of, targets, own_sets, bonus):
    """Every occurrence of an item is a column of its own; the target's column is added, all of the user's own items are left out."""
    total = 0.0
    for query, target, own in zip(queries, targets, own_sets, strict=True):
        wanted = query @ columns_of[target] - bonus[target]
        others = [query @ columns_of[item] - bonus[item] for item in occurrences if item not in own]
        total += torch.logsumexp(torch.stack([wanted, *others]), 0) - wanted
    return total / len(queries)


@pytest.mark.parametrize("corrected", [False, True])
def test_the_in_batch_loss_equals_the_authors_form_over_all_occurrences(corrected):
    queries, keys, _ = pair(positions=4, items=5)
    sequences = [[0, 1, 2], [2, 3, 4, 2]]
    targets, users = torch.tensor([1, 2, 3, 4]), torch.tensor([0, 0, 1, 1])
    occurrences = [item for sequence in sequences for item in sequence]
    counts = torch.bincount(torch.tensor(occurrences))
    own = torch.zeros(2, 5, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        own[row, sequence] = True
    shares = torch.log(torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]))
    given = in_batch(queries, keys, targets, counts, own[users], shares if corrected else None)
    sets = [set(sequences[user]) for user in users.tolist()]
    wanted = naive_in_batch(queries, occurrences, keys, targets.tolist(), sets, shares if corrected else torch.zeros(5))
    assert torch.allclose(given, wanted, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as the rest of a training on a GPU runs
        assert torch.equal(in_batch(queries, keys, targets, counts, own[users], shares if corrected else None), given)
