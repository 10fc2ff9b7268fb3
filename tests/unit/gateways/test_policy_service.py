"""Which of several processes is the policy service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.gateways import policy_service
from supervisor.gateways.policy_process import Launch, Seen
from supervisor.gateways.policy_service import PolicyService


class Process:
    """One that runs until it is ended."""

    def __init__(self, launch: Launch, _listener: int, _ended: Any) -> None:
        self.pid = int(launch.settings)
        self.alive = True

    def end(self) -> None:
        self.alive = False

    def look(self) -> Seen:
        return Seen(master_stopped=False, workers=1, stopped=frozenset())


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[PolicyService]:
    monkeypatch.setattr(policy_service, "PolicyProcess", Process)
    made = PolicyService()
    made.listen("127.0.0.1", 0)
    yield made
    made.close()


def serve(service: PolicyService, pid: int) -> Any:
    service.serve(Launch(str(pid), 1, 1), f"for {pid}", b"key %d" % pid, lambda _: None)
    return service.process


def test_the_one_that_answers_goes_on_over_any_number_of_successors(
    service: PolicyService,
) -> None:
    first, second, third = (serve(service, pid) for pid in (1, 2, 3))
    assert (first.alive, second.alive, third.alive) == (True, False, True)
    assert service.predecessor is first
    assert (service.process, service.key) == (third, b"key 3")
    service.settle()
    assert (first.alive, third.alive, service.predecessor) == (False, True, None)


def test_what_was_before_is_in_force_again_when_a_successor_has_ended(
    service: PolicyService,
) -> None:
    first, second = serve(service, 1), serve(service, 2)
    second.end()
    assert not service.fall_back(7)
    assert service.fall_back(2)
    assert (service.process, service.key) == (first, b"key 1")
    assert service.process_made_from("for 1") is first
    assert not service.fall_back(1)


def test_one_that_has_ended_is_nothing_to_go_back_to(service: PolicyService) -> None:
    first, second = serve(service, 1), serve(service, 2)
    first.end()
    second.end()
    assert not service.fall_back(2)


def test_all_end_with_the_daemon(service: PolicyService) -> None:
    both = serve(service, 1), serve(service, 2)
    service.close()
    assert [one.alive for one in both] == [False, False]
