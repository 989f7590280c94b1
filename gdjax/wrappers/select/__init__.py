"""Parameter groups: masked, frozen and partitioned parameters, muP and CompleteP."""
