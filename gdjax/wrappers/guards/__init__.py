"""Guards: gradient accumulation, and wrappers that skip steps with bad gradients."""
