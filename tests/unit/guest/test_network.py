import json
import re
import shutil
import subprocess
from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from operators_words import networks

from supervisor.guest.aproxy import Aproxy
from supervisor.guest.network import (
    GuestNetwork,
    SshDebug,
    assignments,
    files_of,
    proxy_environment,
    runner_environment,
    script,
    snap_configuration,
    ssh_debug_of,
)
from supervisor.web.proxies import Proxies, Proxy

ENVIRONMENT = "/etc/environment"
APT = "/etc/apt/apt.conf.d/90github-runner-proxies"
DROP_IN = "/etc/systemd/system/docker.service.d/90-github-runner-proxies.conf"
CLIENTS = ("/root/.docker/config.json", "~/.docker/config.json")
DAEMON = "/etc/docker/daemon.json"

PROXY = Proxy("http://user:p%40ss@proxy.example.com:3128")
OTHER = Proxy("http://10.0.0.9:8080")
PROXIES = Proxies(PROXY, OTHER, (".example.com", "10.0.0.0/8", "host.example.com"))
SERVERS = tuple(
    SshDebug(f"10.0.0.{number}", 10022 + number, "SHA256:" + "r" * 43, "SHA256:" + "e" * 43)
    for number in range(1, 4)
)
APROXY = Aproxy(OTHER, (80, 443), (IPv4Network("10.0.0.0/8"),))
WHOLE = GuestNetwork(
    proxies=PROXIES, dockerhub_mirror="https://mirror.example.com:5000", ssh_debug=SERVERS
)
# Every character that a user, an exception or a mirror may have.
WORST = GuestNetwork(
    proxies=Proxies(
        Proxy("https://a._~%25+-Z9:%00._~+-@[2001:db8::1]:65535"),
        None,
        ("*", "[::1]:80", "_a-b/c.*", ".x", "**/[a-z]*", "10.0.0.0/8"),
    ),
    dockerhub_mirror="https://[2001:db8::1]:5000/~a/b_c-d.e/",
    ssh_debug=(SshDebug("2001:db8::1", 22, f"SHA256:{'+' * 43}=", f"SHA256:{'/' * 43}"),),
)
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
# The first value takes seconds on a loaded machine.
ANY = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What runs a program for each value runs fewer.
FEW = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def contents(network: GuestNetwork) -> dict[str, str]:
    return {file.path: file.content for file in files_of(network)}


def read_lines(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_guest_that_is_told_of_nothing_gets_nothing() -> None:
    nothing = GuestNetwork(proxies=Proxies(exceptions=("localhost",)))
    assert files_of(nothing) == ()
    assert assignments(nothing) == {}
    assert runner_environment(nothing, "one") == {}
    assert snap_configuration(nothing) == {}
    assert "export" not in script(nothing, "one", None)


def test_proxies_stand_in_both_cases_and_the_guests_own_addresses_are_excepted() -> None:
    exceptions = ".example.com,10.0.0.0/8,host.example.com,localhost,127.0.0.1,::1"
    given = {"http_proxy": PROXY.url, "https_proxy": OTHER.url, "no_proxy": exceptions}
    assert proxy_environment(PROXIES) == {**given, **{k.upper(): v for k, v in given.items()}}


def test_a_proxy_that_is_not_set_has_no_variable() -> None:
    assert set(proxy_environment(Proxies(https=OTHER))) == {
        *("https_proxy", "no_proxy"),
        *("HTTPS_PROXY", "NO_PROXY"),
    }


def test_an_exception_stands_once() -> None:
    named = Proxies(OTHER, exceptions=("localhost", "a.example", "localhost"))
    assert proxy_environment(named)["no_proxy"] == "localhost,a.example,127.0.0.1,::1"


def test_with_aproxy_a_guest_has_no_variable_and_no_file_that_names_a_proxy() -> None:
    network = GuestNetwork(aproxy=APROXY, dockerhub_mirror="https://mirror.example.com")
    assert runner_environment(network, "one") == {
        "DOCKERHUB_MIRROR": "https://mirror.example.com",
        "CONTAINER_REGISTRY_URL": "https://mirror.example.com",
    }
    assert set(contents(network)) == {DAEMON}
    assert assignments(network) == {"APROXY_PROXY": "10.0.0.9:8080"}


def test_snapd_gets_aproxy_itself_by_the_one_proxy_that_is_forwarded_to() -> None:
    assert snap_configuration(GuestNetwork(aproxy=APROXY)) == {
        "proxy.http": OTHER.url,
        "proxy.https": OTHER.url,
        "proxy.no-proxy": "localhost,127.0.0.1,::1",
    }


def test_a_guests_address_of_its_host_is_not_redirected() -> None:
    text = script(GuestNetwork(aproxy=APROXY), "one", IPv4Address("192.0.2.1"))
    assert "192.0.2.1" in text
    assert "192.0.2.1" not in script(GuestNetwork(aproxy=APROXY), "one", None)


def test_the_application_is_told_of_proxies_mirror_and_one_server() -> None:
    found = runner_environment(WHOLE, "one")
    server = ssh_debug_of(SERVERS, "one")
    assert found == {
        **proxy_environment(PROXIES),
        "DOCKERHUB_MIRROR": "https://mirror.example.com:5000",
        "CONTAINER_REGISTRY_URL": "https://mirror.example.com:5000",
        "TMATE_SERVER_HOST": server.host,
        "TMATE_SERVER_PORT": str(server.port),
        "TMATE_SERVER_RSA_FINGERPRINT": server.rsa_fingerprint,
        "TMATE_SERVER_ED25519_FINGERPRINT": server.ed25519_fingerprint,
    }


def test_runners_are_spread_evenly_over_the_servers_and_keep_theirs() -> None:
    names = [f"fleet-{number:012x}" for number in range(3000)]
    chosen = Counter(ssh_debug_of(SERVERS, name).host for name in names)
    assert min(chosen.values()) > 900
    assert ssh_debug_of(SERVERS, names[7]) == ssh_debug_of(SERVERS, names[7])


def test_who_can_read_a_file_with_a_password_is_no_more_than_its_programs_need() -> None:
    modes = {file.path: file.mode for file in files_of(WHOLE)}
    assert {path for path, mode in modes.items() if mode == "644"} == {ENVIRONMENT, APT, DAEMON}
    assert {path for path, mode in modes.items() if mode == "600"} == {DROP_IN, *CLIENTS}


def test_nothing_that_may_be_logged_shows_a_password() -> None:
    shown = repr(WHOLE) + repr(files_of(WHOLE))
    assert "p%40ss" not in shown
    assert "p@ss" not in shown


def test_docker_is_told_as_it_wants_to_be() -> None:
    found = contents(WHOLE)
    exceptions = ".example.com,10.0.0.0/8,host.example.com,localhost,127.0.0.1,::1"
    told = {"httpProxy": PROXY.url, "httpsProxy": OTHER.url, "noProxy": exceptions}
    for client in CLIENTS:
        assert json.loads(found[client]) == {"proxies": {"default": told}}
    assert json.loads(found[DAEMON]) == {"registry-mirrors": [WHOLE.dockerhub_mirror]}


@ANY
@given(networks())
@example(WORST)
def test_systemd_is_given_each_percent_sign_twice_and_nothing_else_that_means_something(
    network: GuestNetwork,
) -> None:
    text = contents(network).get(DROP_IN, "[Service]\n")
    section, *settings_ = text.splitlines()
    assert section == "[Service]"
    found = [re.fullmatch(r'Environment="([^"\\]*)"', line) for line in settings_]
    assert all(found)
    words = "\n".join(match[1] for match in found if match)
    assert "%" not in words.replace("%%", "")
    assert read_lines(words.replace("%%", "%")) == proxy_environment(network.proxies)


@ANY
@given(networks())
@example(WORST)
def test_every_document_is_json(network: GuestNetwork) -> None:
    for path, content in contents(network).items():
        if path.endswith(".json"):
            assert str(json.loads(content)).count("http")


@FEW
@given(network=networks())
@example(network=WORST)
@example(network=WHOLE)
def test_apt_reads_what_was_meant(network: GuestNetwork, tmp_path: Path) -> None:
    content = contents(network).get(APT)
    if content is None:
        return
    (tmp_path / "apt.conf").write_text(content)
    for scheme in ("http", "https"):
        proxy = getattr(network.proxies, scheme)
        key = f"Acquire::{scheme}::Proxy"
        assert apt_says(tmp_path / "apt.conf", key) == (proxy.url if proxy else "DIRECT")
        if proxy:
            assert apt_says(tmp_path / "apt.conf", f"{key}::localhost") == "DIRECT"


def apt_says(configuration: Path, key: str) -> str:
    done = subprocess.run(
        ["apt-config", "-c", str(configuration), "shell", "VALUE", key],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().removeprefix("VALUE='").removesuffix("'")


def test_apt_asks_hosts_of_no_proxy_directly() -> None:
    lines = contents(WHOLE)[APT].splitlines()
    assert 'Acquire::http::Proxy::host.example.com "DIRECT";' in lines
    assert 'Acquire::https::Proxy::host.example.com "DIRECT";' in lines
    # Domains, networks and IPv6 have no spelling there.
    assert not [line for line in lines if "::.example" in line or "10.0.0.0" in line]


@pytest.mark.parametrize("shell", SHELLS)
@FEW
@given(network=networks())
@example(network=WORST)
def test_a_shell_that_reads_the_environments_files_has_what_was_meant(
    network: GuestNetwork, shell: str, tmp_path: Path
) -> None:
    environment = runner_environment(network, "one")
    (tmp_path / "*x").touch()  # what a pattern in no_proxy could stand for
    text = "".join(f"{name}={value}\n" for name, value in environment.items())
    done = run(shell, f"set -a\n{text}env", tmp_path)
    shown = read_lines(done)
    assert {name: shown.get(name) for name in environment} == environment


@pytest.mark.parametrize("shell", SHELLS)
@FEW
@given(network=networks())
@example(network=WORST)
@example(network=WHOLE)
@example(network=GuestNetwork(aproxy=APROXY))
def test_a_shell_hands_on_each_file_as_it_is(
    network: GuestNetwork, shell: str, tmp_path: Path
) -> None:
    functions = script(network, "one", IPv4Address("192.0.2.1"))
    assert "\0" not in functions
    stand_in = """
        set -u
        home=/home/runner uid=1000 gid=1000
        guest_file() { echo "FILE $*"; cat; }
        print() { echo "FILE $1"; "$1"; }
    """
    calls = """
        write_network_files
        print print_runner_environment
        print print_snap_configuration
        print print_aproxy_rules
    """
    # Directories that a file needs are this machine's, which may lack them.
    functions = re.sub(r"\[ ! -d \S+ \] \|\| ", "", functions)
    shown = run(shell, f"{stand_in}\n{functions}\n{calls}", tmp_path)
    _, *parts = re.split(r"^FILE (.*)\n", shown, flags=re.MULTILINE)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    expected = {}
    for file in files_of(network):
        owner = " 1000:1000" if file.path.startswith("~") else ""
        path = file.path.replace("~", "/home/runner")
        expected[f"{file.how} {file.mode} {path}{owner}"] = file.content
    environment = runner_environment(network, "one")
    expected["print_runner_environment"] = "".join(f"{k}={v}\n" for k, v in environment.items())
    snap = json.loads(found.pop("print_snap_configuration") or "{}")
    assert snap == snap_configuration(network)
    rules = network.aproxy.ruleset([IPv4Address("192.0.2.1")]) if network.aproxy else ""
    expected["print_aproxy_rules"] = rules
    assert found == expected


def run(shell: str, text: str, directory: Path) -> str:
    program, *arguments = SHELLS[shell]
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is not installed")
    done = subprocess.run(
        [found, *arguments],
        input=text,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "other",
    [
        GuestNetwork(proxies=Proxies(Proxy("http://user:other@proxy.example.com:3128"))),
        GuestNetwork(proxies=Proxies(PROXY, OTHER)),
        GuestNetwork(dockerhub_mirror="https://mirror.example.com"),
        GuestNetwork(ssh_debug=SERVERS[:1]),
        GuestNetwork(aproxy=APROXY),
        GuestNetwork(aproxy=Aproxy(OTHER, (443,), APROXY.excluded)),
        GuestNetwork(aproxy=Aproxy(OTHER, APROXY.ports, ())),
    ],
)
def test_guests_that_are_told_something_else_are_told_apart(other: GuestNetwork) -> None:
    same = GuestNetwork(proxies=Proxies(PROXY))
    assert other.made_from() != same.made_from()
    assert GuestNetwork(proxies=Proxies(Proxy(PROXY.url))).made_from() == same.made_from()
