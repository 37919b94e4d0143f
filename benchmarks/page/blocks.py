"""A page that people write, with blocks that a program fills: what stands outside of the marks is never touched."""

from __future__ import annotations

import re
from collections.abc import Mapping

from quantizers.rows import UsageError

_BLOCK = re.compile(r"<!-- generated: (?P<name>[a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """The page with each block's text between its marks.

    Raises:
        UsageError: a block has no marks in the page, or the page asks for a block that there is not.
    """
    found = [match["name"] for match in _BLOCK.finditer(page)]
    if sorted(found) != sorted(blocks):
        raise UsageError(
            f"the page has marks for the blocks {', '.join(found) or 'none'}, and there are {', '.join(blocks)}; "
            "each needs a line `<!-- generated: NAME -->` and below it a line `<!-- end -->`, once"
        )

    def fill(match: re.Match[str]) -> str:
        return f"<!-- generated: {match['name']} -->\n\n{blocks[match['name']].strip()}\n\n<!-- end -->"

    return _BLOCK.sub(fill, page)
