"""Matrices split into blocks: how many, how large, which entries are where."""

import numpy as np
import pytest

from gdjax.core.matrix.blocking import Cut


@pytest.mark.parametrize(
    "shape, block_size, count, sides",
    [
        ((5, 7), None, (1, 1), (5, 7)),
        ((5, 7), 7, (1, 1), (5, 7)),
        ((5, 7), 3, (2, 3), (3, 3)),
        ((8, 4), 4, (2, 1), (4, 4)),
        ((9, 2), 4, (3, 1), (3, 2)),
        ((0, 3), 2, (1, 2), (0, 2)),
    ],
)
def test_blocks_are_few_and_nearly_equal(shape, block_size, count, sides):
    cut = Cut.of(shape, block_size)
    assert cut == (shape, count, sides)
    x = np.arange(1.0, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    padded = np.zeros((count[0] * sides[0], count[1] * sides[1]), np.float32)
    padded[: shape[0], : shape[1]] = x
    blocks = cut.blocks(x)
    assert blocks.shape == (*count, *sides)
    for i in range(count[0]):
        for j in range(count[1]):
            rows, columns = (slice(k * n, (k + 1) * n) for k, n in zip((i, j), sides))
            np.testing.assert_array_equal(blocks[i, j], padded[rows, columns])
    np.testing.assert_array_equal(cut.whole(blocks), x)


@pytest.mark.parametrize(
    "shape, asked, count", [((1, 5), (2, 2), (1, 2)), ((0, 3), (2, 4), (1, 3))]
)
def test_there_are_no_more_blocks_than_rows_and_columns(shape, asked, count):
    assert Cut.into(shape, asked).count == count
