"""The covering array of the matrix: complete, deterministic and small."""
import itertools

import pytest

from covering import all_pairs, pairs_of, product

SHAPES = [(2, 2), (5, 1, 3), (2, 3, 5, 4, 2, 2), (2, 4, 6, 5, 8, 2, 2, 5)]


def axes_of(shape):
    return {f"axis{i}": [f"{i}.{v}" for v in range(n)] for i, n in enumerate(shape)}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_pair_is_there(shape):
    axes = axes_of(shape)
    have = set().union(*map(pairs_of, all_pairs(axes)))
    for a, b in itertools.combinations(axes, 2):
        for u, v in itertools.product(axes[a], axes[b]):
            assert ((a, u), (b, v)) in have


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_few_rows_and_always_the_same(shape):
    axes = axes_of(shape)
    rows = all_pairs(axes)
    longest = sorted(shape)[-2:]
    assert longest[0] * longest[1] <= len(rows) <= 1.7 * longest[0] * longest[1] + 2
    assert rows == all_pairs(axes)
    assert all(list(row) == list(axes) for row in rows)


def test_the_full_product():
    rows = product(axes_of((2, 3, 5)))
    assert len(rows) == 30 and len({tuple(r.values()) for r in rows}) == 30


def test_one_axis_alone():
    assert all_pairs({"x": ["1", "2"]}) == [{"x": "1"}, {"x": "2"}]
