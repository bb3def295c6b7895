"""The command: ``python -m tests.faults``; see the package's docstring."""

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")

if __name__ == "__main__":
    from .command import main

    sys.exit(main(sys.argv[1:]))
