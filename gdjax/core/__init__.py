"""Ground floor: the pair, the recipe, and the words of the rules; knows no optimizer."""
