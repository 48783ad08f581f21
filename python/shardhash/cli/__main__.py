"""Run the command as ``python -m shardhash.cli``."""

import sys

from shardhash.cli import main

sys.exit(main())
