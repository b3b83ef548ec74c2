"""``python -m distilbert`` is the command line."""

import sys

from distilbert.cli.entry import main

sys.exit(main())
