"""The command: ``python -m tests.faults``; see the package's docstring."""

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# As in a shell, whatever started this; Brian2 cannot bear that it is ignored, as nohup has it.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, str(Path(__file__).parents[1]))

if __name__ == "__main__":
    from faults.command import main

    sys.exit(main(sys.argv[1:]))
