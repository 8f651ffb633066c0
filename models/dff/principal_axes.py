"""The directions in which frozen features differ most."""

import torch

from dff.features import ITEMS_AT_ONCE


def principal_axes(means: torch.Tensor) -> torch.Tensor:
    """Eigenvectors of the second moments of (N, D) as columns (D, D), in double precision, those of the largest eigenvalues first."""
    moments = torch.zeros(means.shape[1], means.shape[1], dtype=torch.float64, device=means.device)
    for part in means.split(ITEMS_AT_ONCE):
        moments += part.double().T @ part.double()
    return torch.linalg.eigh(moments).eigenvectors.flip(1)  # they come with ascending eigenvalues
