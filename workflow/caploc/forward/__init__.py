"""Every forward pass outside the engine: likelihoods, greedy answers, silenced neurons."""
