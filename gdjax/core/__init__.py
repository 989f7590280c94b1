"""Ground floor: the pair, the recipe and the words that rules are written in; knows no optimizer."""
