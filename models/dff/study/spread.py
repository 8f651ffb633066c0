"""Means with spread over seeds, and differences of two arms with a confidence interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# 97.5 % quantiles of Student's t for 1 to 10 degrees of freedom; beyond, an expansion about the normal's is exact to .003.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
NORMAL_95 = 1.960


@dataclass(frozen=True)
class Spread:
    mean: float
    deviation: float  # over seeds, of the sample; 0 for a single one
    seeds: int


def spread(values: Sequence[float]) -> Spread:
    numbers = np.asarray(values, dtype=np.float64)
    return Spread(float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0, len(numbers))


@dataclass(frozen=True)
class Difference:
    mean: float  # of HR@10, first arm minus second
    low: float
    high: float
    relative: float  # of the second arm's mean; infinite if that is 0
    seeds: int  # that both arms have

    @property
    def verdict(self) -> str:
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "not told apart"


def t_95(freedom: float) -> float:
    """The quantile for any degrees of freedom from 1; between whole ones its logarithm is linear in their inverse, up to 3 % too large."""
    if freedom > len(T_95):
        return NORMAL_95 + 2.372 / freedom + 2.823 / freedom**2
    low = int(freedom)
    if low == len(T_95):
        return T_95[-1]
    share = (1 / low - 1 / freedom) / (1 / low - 1 / (low + 1))
    return T_95[low - 1] ** (1 - share) * T_95[low] ** share


def paired_difference(first: Sequence[np.ndarray], second: Sequence[np.ndarray], cutoff: int = 10) -> Difference:
    """Of hits at the cutoff, from ranks of the same users, one array [users] for each of one or more seeds, with a 95 % interval.

    Its width holds both what other users and what other seeds would change: the variance of a user's mean difference over
    users, and that of a seed's mean difference over seeds. Few seeds say little about their variance, so the interval is Student's,
    with the degrees of freedom of such a sum (Welch and Satterthwaite). A single seed says nothing about it: the interval is for that seed.
    """
    hits = np.stack([(a <= cutoff).astype(np.float64) - (b <= cutoff) for a, b in zip(first, second, strict=True)])  # (seeds, users)
    mean = float(hits.mean())
    parts = [(values.var(ddof=1) / len(values), len(values) - 1) for values in (hits.mean(axis=0), hits.mean(axis=1)) if len(values) > 1]
    variance = sum(part for part, _ in parts)
    half = 0.0
    if variance > 0:
        freedom = variance**2 / sum(part**2 / free for part, free in parts)
        half = t_95(freedom) * math.sqrt(variance)
    base = float(np.mean([(ranks <= cutoff).mean() for ranks in second]))
    return Difference(mean, mean - half, mean + half, mean / base if base else math.inf, len(hits))
