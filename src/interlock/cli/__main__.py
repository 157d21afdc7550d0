"""`python -m interlock.cli`, for places without the `interlock` script."""

import sys

from interlock.cli import main

sys.exit(main())
