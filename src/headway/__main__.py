"""`python -m headway` is the `headway` command."""

import sys

from headway.commands import main

sys.exit(main())
