"""`python -m components.bench [FIGURE …]`: measure the named figures, all of them by default."""

import sys
from functools import partial

from components.bench.run import BenchConfig, run
from components.stage import command

if __name__ == "__main__":
    sys.exit(command("bench", BenchConfig, partial(run, names=tuple(sys.argv[1:]))))
