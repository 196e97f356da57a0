from collections.abc import Iterator
from queue import Queue

import pytest

from ml_assets_tests.faults.workers import NUMBER, Worker


@pytest.fixture(scope="package")
def workers() -> Iterator["Queue[Worker]"]:
    """Processes that fork children, those that are free."""
    started = [Worker() for _ in range(NUMBER)]
    free: Queue[Worker] = Queue()
    for worker in started:
        free.put(worker)
    yield free
    for worker in started:
        worker.end()


@pytest.fixture
def worker(workers: "Queue[Worker]") -> Iterator[Worker]:
    """One of them."""
    taken = workers.get()
    yield taken
    workers.put(taken)
