"""Dual Feature Fusion: train a sequential recommender over ID embeddings and frozen video hidden states, export it for serving."""

__version__ = "0.1.0"
