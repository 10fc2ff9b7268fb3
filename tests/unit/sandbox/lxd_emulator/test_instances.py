from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.lxd_emulator import instances
from sandbox.lxd_emulator.errors import LxdError
from sandbox.lxd_emulator.model import RUNNING, STOPPED, Instance
from sandbox.lxd_emulator.state import ServerState, add_image, furnish

NOW = "2026-01-01T00:00:00Z"
NAMES = st.sampled_from(["a1", "a2", "a3"])


def a_server() -> ServerState:
    state = ServerState()
    furnish(state)
    add_image(state, "tiny", "container", NOW)
    return state


def a_request(name: str = "a1", **more: object) -> dict[str, object]:
    return {"name": name, "source": {"type": "image", "alias": "tiny"}, **more}


def made(state: ServerState, name: str = "a1", **more: object) -> Instance:
    admission = instances.admit(state, "default", a_request(name, **more), NOW)
    return instances.record(state, admission, NOW)


class Life(RuleBasedStateMachine):
    """Whatever is done in whatever order, LXD's rules hold; a plain model tells what must be."""

    def __init__(self) -> None:
        super().__init__()
        self.state = a_server()
        self.model: dict[str, str] = {}

    def _put(self, instance: Instance) -> None:
        self.state.put(instance)

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        if name in self.model:
            with pytest.raises(LxdError, match="already exists"):
                made(self.state, name)
        else:
            instance = made(self.state, name)
            self._put(instances.stopped(instance))
            self.model[name] = STOPPED

    @rule(name=NAMES)
    def start(self, name: str) -> None:
        instance = self.state.instances.get(("default", name))
        if instance is None:
            assert name not in self.model
        elif self.model[name] == RUNNING:
            with pytest.raises(LxdError, match="already running"):
                instances.begin(instance, "start")
        else:
            self._put(instances.started(instances.begin(instance, "start"), NOW))
            self.model[name] = RUNNING

    @rule(name=NAMES)
    def stop(self, name: str) -> None:
        instance = self.state.instances.get(("default", name))
        if instance is None:
            assert name not in self.model
        elif self.model[name] == STOPPED:
            with pytest.raises(LxdError, match="already stopped"):
                instances.begin(instance, "stop")
        else:
            self._put(instances.stopped(instances.begin(instance, "stop")))
            self.model[name] = STOPPED

    @rule(name=NAMES, value=st.text(max_size=5))
    def patch(self, name: str, value: str) -> None:
        instance = self.state.instances.get(("default", name))
        if instance is not None:
            body = {"config": {"user.a": value}}
            changed = instances.change(self.state, instance, body, whole=False)
            self._put(changed)
            assert changed.config.get("user.a", "") == value
            assert {k: v for k, v in changed.config.items() if k != "user.a"} == {
                k: v for k, v in instance.config.items() if k != "user.a"
            }

    @invariant()
    def it_agrees_with_the_model(self) -> None:
        found = {instance.name: instance.status for instance in self.state.instances_of("default")}
        assert found == self.model

    @invariant()
    def it_survives_a_restart(self) -> None:
        assert ServerState.load(self.state.dump()) == self.state


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@given(
    first=st.dictionaries(st.sampled_from(["user.a", "user.b"]), st.text(max_size=3)),
    second=st.dictionaries(st.sampled_from(["user.a", "user.b"]), st.text(max_size=3)),
)
def test_an_etag_changes_exactly_when_the_configuration_does(
    first: dict[str, str], second: dict[str, str]
) -> None:
    state = a_server()
    instance = made(state)
    instance = instances.stopped(instance)
    one = instances.change(state, instance, {"config": {**instance.config, **first}}, whole=True)
    other = instances.change(state, instance, {"config": {**instance.config, **second}}, whole=True)
    same = instances.instance_etag(one) == instances.instance_etag(other)
    assert same == (one.config == other.config)


def test_a_failed_creation_leaves_nothing() -> None:
    state = a_server()
    before = state.dump()
    with pytest.raises(LxdError, match="Unknown configuration key: zz"):
        made(state, config={"zz": "1"})
    assert state.dump() == before


def test_profiles_give_way_to_what_an_instance_has_itself() -> None:
    state = a_server()
    nic = {"type": "nic", "network": "lxdbr0", "name": "eth7"}
    instance = made(state, devices={"eth0": nic})
    _, devices = instances.expanded(state, instance)
    assert devices["eth0"] == nic
    assert devices["root"]["pool"] == "default"


def test_every_running_instance_has_an_address_of_its_own() -> None:
    state = a_server()
    addresses = {instances.address(state, made(state, f"a{n}")) for n in range(300)}
    assert len(addresses) == 300
    assert None not in addresses


@pytest.mark.parametrize("work", ["start", "delete"])
def test_an_instance_that_is_being_created_is_left_alone(work: str) -> None:
    instance = made(a_server())
    with pytest.raises(LxdError, match=f"{work} operation: Instance is busy running a .create"):
        instances.begin(instance, work)


def test_a_loaded_state_is_busy_with_nothing() -> None:
    state = a_server()
    made(state)
    loaded = ServerState.load(state.dump())
    assert [instance.busy for instance in loaded.instances_of(None)] == [""]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"instances_made": 1}'])
def test_another_file_is_no_state(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ServerState.load(text)
