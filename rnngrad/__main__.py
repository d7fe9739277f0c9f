"""Run the command line with ``python -m rnngrad``."""

import sys

from rnngrad.cli import main

sys.exit(main())
