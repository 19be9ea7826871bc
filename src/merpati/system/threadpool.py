"""Pools of threads that all run before any work comes.

A pool of the standard library starts each thread when it is needed, on whoever hands over the work:
here the event loop. `Thread.start` then waits until the new thread says that it runs, and for ever
where that died for want of memory before it could (python/cpython issue 140746, open): all mail
would stand still.
"""

import threading
from concurrent.futures import ThreadPoolExecutor


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """With all its threads; RuntimeError where the system gives no more of them."""
    pool = ThreadPoolExecutor(threads, name)
    # Each keeps its thread busy until all are there, so that none does the work of two.
    together = threading.Barrier(threads + 1)
    try:
        for _ in range(threads):
            pool.submit(together.wait)
        together.wait()
    except BaseException:
        # Those that run would wait for the others for ever, and the process for them at its end.
        together.abort()
        pool.shutdown(wait=False)
        raise
    return pool
