"""Work beside a simulation: its result, its errors, and its end."""

import threading

import pytest

from caduceus.sim.beside import Dropped, beside
from caduceus.spec.errors import UserError


def test_the_result_is_that_of_the_work() -> None:
    with beside(lambda check: 3) as result:
        assert result() == 3


def test_an_error_of_the_work_is_raised_by_whoever_waits() -> None:
    def fails(_check: object) -> None:
        raise UserError("seed: got 3, expected 4")

    with pytest.raises(UserError, match="got 3, expected 4"), beside(fails) as result:
        result()


def test_a_block_that_fails_ends_the_work() -> None:
    began, dropped = threading.Event(), []

    def work(check) -> None:
        began.set()
        try:
            while True:
                check(1)
        except Dropped:
            dropped.append(True)
            raise

    def fail() -> None:
        with beside(work):
            began.wait()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert dropped == [True]
