"""The command, with leases that end soon; without a keeper nobody renews them.

operator_process.py TTL_S keeper|no-keeper WORDS...
"""

import sys

from shardhash.cli import main
from shardhash.db.executor import _leases

if __name__ == "__main__":
    _leases.Leases.__init__.__kwdefaults__["ttl_s"] = float(sys.argv[1])
    if sys.argv[2] == "no-keeper":
        _leases.Leases._renew = lambda self: None
    sys.exit(main(sys.argv[3:]))
