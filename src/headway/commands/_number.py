"""A number that a flag takes: in its range, and finite, which click's own leaves open."""

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A float between two bounds; NaN, which is on no side of either, and infinity are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"expected a finite number, found {value!r}", param, ctx)
        return found
