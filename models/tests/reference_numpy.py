"""The reference model from its equations, in NumPy and double precision: nothing of the package is used here.

Weights are named as in the state dict of the paper's authors (arXiv 2512.21863).
"""

import numpy as np

ENCODER = "user_encoder.transformer_encoder."
EPS = 1e-6


def random_state(items, dim, layers, width, longest, blocks, seed=5):
    """A state dict of random weights, float32 arrays."""
    generator = np.random.default_rng(seed)

    def draw(*shape):
        return (generator.normal(size=shape) * 0.4).astype(np.float32)

    state = {
        "id_encoder.weight": draw(items + 1, dim),
        "weights": draw(layers),
        "proj.weight": draw(dim, width),
        "proj.bias": draw(dim),
        "gating.0.weight": draw(dim, 2 * dim),
        "gating.0.bias": draw(dim),
        f"{ENCODER}position_embedding.weight": draw(longest, dim),
        f"{ENCODER}layer_norm.weight": 1 + draw(dim),
        f"{ENCODER}layer_norm.bias": draw(dim),
    }
    for block in range(blocks):
        attention, feed = (f"{ENCODER}transformer_blocks.{block}.{part}." for part in ("multi_head_attention", "feed_forward"))
        state |= {f"{attention}{name}.weight": draw(dim, dim) for name in ("w_Q", "w_K", "w_V", "fc")}
        state |= {f"{feed}w_1.weight": draw(4 * dim, dim), f"{feed}w_1.bias": draw(4 * dim)}
        state |= {f"{feed}w_2.weight": draw(dim, 4 * dim), f"{feed}w_2.bias": draw(dim)}
        for part in (attention, feed):
            state |= {f"{part}layer_norm.weight": 1 + draw(dim), f"{part}layer_norm.bias": draw(dim)}
    return state


def softmax(scores):
    grown = np.exp(scores - scores.max())
    return grown / grown.sum()


def norm(state, key, x):
    """LayerNorm over the last axis with the biased variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPS) * state[f"{key}weight"] + state[f"{key}bias"]


def item_vector(state, row, hidden):
    """Fused vector (d) and mean gate of one item: row of the ID table, hidden states (L, D)."""
    state = {key: value.astype(np.float64) for key, value in state.items()}
    mixed = sum(weight * hidden[layer].astype(np.float64) for layer, weight in enumerate(softmax(state["weights"])))
    content = np.maximum(state["proj.weight"] @ mixed + state["proj.bias"], 0)
    identity = state["id_encoder.weight"][row]
    gate = 1 / (1 + np.exp(-(state["gating.0.weight"] @ np.concatenate([identity, content]) + state["gating.0.bias"])))
    return gate * identity + (1 - gate) * content, gate.mean()


def user_vector(state, vectors, mask, heads):
    """One user: item vectors (T, d), oldest first, and mask (T), true at real ones. Loops where others reshape."""
    state = {key: value.astype(np.float64) for key, value in state.items()}
    x = norm(state, f"{ENCODER}layer_norm.", vectors.astype(np.float64) + state[f"{ENCODER}position_embedding.weight"])
    length, dim = x.shape
    width = dim // heads
    blocks = {key.removeprefix(ENCODER).split(".")[1] for key in state if key.startswith(f"{ENCODER}transformer_blocks.")}
    for block in range(len(blocks)):
        key = f"{ENCODER}transformer_blocks.{block}.multi_head_attention."
        query, keys, values = (x @ state[f"{key}{name}.weight"].T for name in ("w_Q", "w_K", "w_V"))
        mixed = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for place in range(length):
                scores = keys[:, part] @ query[place, part] / np.sqrt(width)
                scores += [0.0 if other <= place and mask[other] else -1e9 for other in range(length)]
                mixed[place, part] = softmax(scores) @ values[:, part]
        x = norm(state, f"{key}layer_norm.", x + mixed @ state[f"{key}fc.weight"].T)
        key = f"{ENCODER}transformer_blocks.{block}.feed_forward."
        wide = np.maximum(x @ state[f"{key}w_1.weight"].T + state[f"{key}w_1.bias"], 0)
        x = norm(state, f"{key}layer_norm.", x + wide @ state[f"{key}w_2.weight"].T + state[f"{key}w_2.bias"])
    return x[-1]
