"""Cross-entropy over the whole catalogue, in bounded memory, or over the items of a batch, as the paper's authors have it."""

from pathlib import Path

import torch
from torch.nn import functional

MASKED = -1e9
CPU_FLAGS = Path("/proc/cpuinfo")


def softmax_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What the full softmax multiplies in. `auto`: bfloat16 where the device has instructions for it."""
    if precision == "auto":
        precision = "bfloat16" if multiplies_bfloat16(device) else "float32"
    return getattr(torch, precision)


def multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        flags = CPU_FLAGS.read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


class ChunkedSoftmax(torch.autograd.Function):
    """Summed cross-entropy of (P, d) queries against (n, d) keys. Holds the scores of `chunk` queries at once, in `dtype`.

    The gradients are worked out in the forward pass, while a chunk's scores are at hand, so that nothing is computed twice. Sums,
    the target's score and the gradients stay in float32: in bfloat16 a score is off by at most 1 in 256, at random.
    """

    @staticmethod
    def forward(ctx, queries: torch.Tensor, keys: torch.Tensor, targets: torch.Tensor, chunk: int, dtype: torch.dtype) -> torch.Tensor:
        query_slopes = torch.empty_like(queries)
        key_slopes = torch.zeros_like(keys)
        loss = torch.zeros((), dtype=torch.float32, device=queries.device)
        rounded = keys.to(dtype)
        # One buffer for all chunks: on a CPU, fresh memory of this size costs more than the product that fills it.
        buffer = torch.empty(min(chunk, len(queries)), len(keys), dtype=dtype, device=queries.device)
        for part, goal, slopes in zip(queries.split(chunk), targets.split(chunk), query_slopes.split(chunk), strict=True):
            scores = torch.mm(part.to(dtype), rounded.T, out=buffer[: len(part)])  # (chunk, n)
            wanted = (part * keys[goal]).sum(dim=1, keepdim=True)
            top = scores.amax(dim=1, keepdim=True)
            scores.sub_(top).exp_()
            total = scores.sum(dim=1, keepdim=True, dtype=torch.float32)
            loss += (total.log() + top - wanted).sum()
            inverse = total.reciprocal()
            slopes.copy_((scores @ rounded) * inverse - keys[goal])
            key_slopes += scores.T @ (part * inverse).to(dtype)
            key_slopes.index_add_(0, goal, part, alpha=-1)
        ctx.save_for_backward(query_slopes, key_slopes)
        return loss

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        query_slopes, key_slopes = ctx.saved_tensors
        return query_slopes * gradient, key_slopes * gradient, None, None, None


def full_softmax(
    queries: torch.Tensor, keys: torch.Tensor, targets: torch.Tensor, chunk: int = 256, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Mean cross-entropy of queries (P, d) against all keys (n, d) with targets (P); dtype is that of the large products."""
    with torch.autocast(queries.device.type, enabled=False):  # what is multiplied in which precision is decided here
        return ChunkedSoftmax.apply(queries.float(), keys.float(), targets, chunk, dtype) / len(targets)


def in_batch(
    queries: torch.Tensor,
    keys: torch.Tensor,
    targets: torch.Tensor,
    counts: torch.Tensor,
    own: torch.Tensor,
    log_shares: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean cross-entropy over every item occurrence of the batch.

    queries (P, d); keys (C, d) of the batch's distinct items; targets (P) into keys; counts (C), how often each occurs in the batch
    (c occurrences of an item weigh as much as log c added to its score); own (P, C), true where the user's own sequence holds the
    item, which is then no negative; log_shares (C), the log of each item's share of all training interactions, subtracted to undo
    that popular items are negatives more often.
    """
    with torch.autocast(queries.device.type, enabled=False):  # as in `full_softmax`; it would also mix types that `scatter` refuses
        scores = queries.float() @ keys.float().T
        if log_shares is not None:
            scores = scores - log_shares
        wanted = scores.gather(1, targets.unsqueeze(1))
        negatives = (scores + counts.to(scores.dtype).log()).masked_fill(own, MASKED)
        return functional.cross_entropy(negatives.scatter(1, targets.unsqueeze(1), wanted), targets)
