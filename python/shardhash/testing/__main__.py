"""``python -m shardhash.testing CONFIG``: ask many drawn queries of one database and its shards."""

import argparse
import sys

from shardhash.errors import MismatchError, ShardhashError
from shardhash.testing import Twins, check_drawn

__all__ = ["main"]


def main(words: list[str] | None = None) -> int:
    """Fill the shards, ask, print what came of it, and return the exit code: 5 if any was wrong."""
    parser = argparse.ArgumentParser(prog="python -m shardhash.testing", description=__doc__)
    parser.add_argument("config", help="configuration of the tests; its shards are filled anew")
    parser.add_argument("--whole", default="whole", help="its shard that holds all rows")
    parser.add_argument("--count", type=int, default=1000, help="number of queries")
    parser.add_argument("--seed", type=int, default=1, help="the same seed asks the same")
    given = parser.parse_args(words)
    try:
        with Twins.open(given.config, whole=given.whole) as twins:
            twins.fill()
            report = check_drawn(twins, count=given.count, seed=given.seed)
    except ShardhashError as error:
        print(f"{error}\n{error.next_step}".rstrip(), file=sys.stderr)
        return error.exit_code
    print(report)
    return MismatchError.exit_code if report.wrong_count else 0


if __name__ == "__main__":
    sys.exit(main())
