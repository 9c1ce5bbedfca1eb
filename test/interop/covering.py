"""Covering arrays: few rows in which every pair of values of any two axes occurs.

What goes wrong between two programs nearly always needs one value or two together (a cipher with
NAT, a role with a rekey), seldom three. All pairs of n axes need about as many rows as the two
longest axes multiplied; the full product needs them all multiplied.
"""
import itertools


def pairs_of(row):
    """The pairs of values that a row holds, as ((axis, value), (axis, value))."""
    return set(itertools.combinations(row.items(), 2))


def product(axes):
    """Every row there is."""
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def all_pairs(axes):
    """Rows (axis -> value) that hold every pair. The same axes always give the same rows.

    Greedy: a row begins with the first pair that no row has yet; each further axis takes the value
    that brings most new pairs with those chosen before it.
    """
    missing = dict.fromkeys(  # a set that keeps its order
        ((a, u), (b, v))
        for a, b in itertools.combinations(axes, 2)
        for u, v in itertools.product(axes[a], axes[b]))
    rows = []
    while missing:
        chosen = dict(next(iter(missing)))
        for axis in axes:
            if axis not in chosen:
                chosen[axis] = max(axes[axis], key=lambda v, n=axis: gain(chosen, n, v, axes,
                                                                          missing))
        row = {axis: chosen[axis] for axis in axes}
        for pair in pairs_of(row):
            missing.pop(pair, None)
        rows.append(row)
    return rows or product(axes)  # fewer than two axes have no pairs


def gain(chosen, axis, value, axes, missing):
    """How many missing pairs `value` makes with what is chosen."""
    row = {a: chosen.get(a, value) for a in axes if a == axis or a in chosen}
    return sum(pair in missing for pair in pairs_of(row)
               if (axis, value) in pair)
