"""From hidden states of all tokens to one vector a layer."""

import torch

POOLINGS = ("mean", "last", "attention")


def token_weights(pooling: str, chosen: torch.Tensor, attention: torch.Tensor | None) -> torch.Tensor:
    """What each token weighs, (B, S), rows summing to 1.

    chosen: bool (B, S), the tokens that may count. attention: (B, S), how much the prompt's last token attends to each, for
    `attention` only; it is rescaled over the chosen tokens.
    """
    if pooling == "mean":
        weights = chosen.float()
    elif pooling == "last":
        places = torch.arange(chosen.shape[1], device=chosen.device)
        last = places.masked_fill(~chosen, -1).amax(dim=1, keepdim=True)
        weights = (places == last).float()
    else:
        weights = attention.float() * chosen
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)


def pool(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(B, S, D) and (B, S) to (B, D), summed in float32 whatever the model computes in.

    Tokens without weight are left out rather than multiplied by 0: in half precision padding may have become infinite.
    """
    hidden = hidden.float().masked_fill((weights == 0).unsqueeze(-1), 0.0)
    return torch.bmm(weights.unsqueeze(1), hidden).squeeze(1)
