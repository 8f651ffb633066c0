"""The paper's comparison on a user's own data: which representation, fused or in place of IDs, and which layers."""
