"""Proofs: programs against formulas and identities, by exact arithmetic."""
