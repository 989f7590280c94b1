"""The engine: transformations, chains, and the structure of what is inside of them."""
