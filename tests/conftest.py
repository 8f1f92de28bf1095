"""One thread for torch in each test process: its threads wait for each other by spinning, so that on a busy machine,
or beside the other workers of pytest-xdist, two are ten times slower than one.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
