"""Matrix rules on trees of arrays; inverse roots and polar factors."""
