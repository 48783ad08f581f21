"""Many drawn queries, and a page of text on what came of them."""

from shardhash.testing._twins import Tally, Twins

__all__ = ["DrawnReport", "check_drawn"]

_SHOWN = 5
_BEYOND_SHARE = 0.1


class DrawnReport:
    """What came of drawn queries: of those that shards are to answer, and of those beyond."""

    def __init__(self, seed: int, supported: Tally, beyond: Tally) -> None:
        self.seed = seed
        self.supported = supported
        self.beyond = beyond

    @property
    def wrong_count(self) -> int:
        """Return how many answers were wrong."""
        return len(self.supported.wrong) + len(self.beyond.wrong)

    def __str__(self) -> str:
        """Return the counts, the reasons of refusals and the first wrong answers."""
        wrong = (self.supported.wrong + self.beyond.wrong)[:_SHOWN]
        return "\n".join(
            [
                f"seed {self.seed}; supported grammar: {self.supported}",
                f"beyond it (right or refused): {self.beyond}",
                *map(str, wrong),
            ]
        )


def check_drawn(twins: Twins, *, count: int, seed: int) -> DrawnReport:
    """Ask `count` drawn queries, a tenth of them of kinds that shards may refuse."""
    grammar = twins.grammar(seed=seed)
    beyond_count = int(count * _BEYOND_SHARE)
    supported = twins.check(grammar.queries(count - beyond_count))
    return DrawnReport(seed, supported, twins.check(grammar.queries_beyond(beyond_count)))
