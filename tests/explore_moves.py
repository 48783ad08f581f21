"""Explore the model of a move, and what finds each broken variant out, and print it all.

``make model`` runs it.
"""

import argparse
import sys
import time

from model.explore import explore
from model.rules import Actors, Rules
from model.variants import VARIANTS

WRITERS = (("change", "insert"), ("delete", "insert"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", action="store_true", help="print the shortest way to each")
    options = parser.parse_args()
    is_right = True
    for writers in WRITERS:
        found = explore(Rules(), Actors(writers=writers))
        print(f"writers that {' and '.join(writers)}: {found}")
        is_right &= not found.broken
    for variant in VARIANTS:
        found = explore(variant.rules, variant.actors, wanted=variant.invariant)
        trace = found.broken.get(variant.invariant, ("NOT FOUND OUT",))
        is_right &= variant.invariant in found.broken
        print(f"{variant.name}, {found.states:,} states, {len(trace) - 1} events: {trace[-1]}")
        if options.traces:
            print("\n".join(f"    {line}" for line in trace))
    print(f"{time.process_time():.0f} s of CPU")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
