"""Parameter averaging: EMA, SWA, polynomial decay averaging, Lookahead, Schedule-Free."""
