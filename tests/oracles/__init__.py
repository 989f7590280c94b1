"""Independent oracles: a test problem, NumPy transcriptions of papers, recorded trajectories."""
