r"""One state of the C library's allocator for every contender.

glibc returns free memory to the system above a threshold that follows the largest
block it has seen freed. Whether a layer's temporaries come back with their pages, or
each page has to be asked for and zeroed again, then depends on what else the process
ran: beside UOTP alone, PyG's max pooling faults 1,600 pages in each step of workload A
and takes 3.8 ms, beside softmax pooling it faults none and takes 2.0 (one thread), and
softmax faults in its stead. A training loop soon is in the state without faults, and
it favours those that allocate much, which UOTP does not: it is the one to compare in.
"""

import ctypes
import resource
import sys
from collections.abc import Callable

# From malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_pages() -> bool:
    r"""Makes the allocator keep every page it was given, for the rest of the process.

    Nothing is returned to the system, and blocks of any size come from the heap. A loop
    still faults in its first few turns, until the blocks that it frees have grown
    together: up to seven, for a single block.

    Returns:
        Whether it could: elsewhere than with glibc, the allocator is left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(option, value) == 1
        for option, value in ((M_TRIM_THRESHOLD, -1), (M_MMAP_MAX, 0))
    )


def page_faults(step: Callable[[], object]) -> int:
    r"""Pages that the system had to provide during a call."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
