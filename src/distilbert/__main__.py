"""``python -m distilbert`` is the command line."""

import sys

from distilbert.cli.main import main

sys.exit(main())
