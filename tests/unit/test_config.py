import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config, ConfigError, load, parse
from supervisor.lifecycle import Limits

SECRET = "ghp_" + "s3cr3t" * 6
APP: dict[str, Any] = {"id": 12345, "installation-id": 678, "private-key-file": "/key"}
MINIMUM: dict[str, Any] = {"name": "fleet", "path": "acme", "token": SECRET}


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(**changes: object) -> str:
    given = {key.replace("_", "-"): value for key, value in changes.items()}
    with pytest.raises(ConfigError) as caught:
        parse({**MINIMUM, **given}, "config.yaml")
    assert SECRET not in str(caught.value)
    return str(caught.value)


def durations(text: str) -> timedelta:
    return parse({**MINIMUM, "reconcile-interval": text}, "x").reconcile_interval


def test_three_keys_are_enough() -> None:
    config = parse(MINIMUM, "config.yaml")
    assert config.virtual_machines == 1
    assert config.token is not None
    assert config.lxd.instance_type == "virtual-machine"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "Fleet"),
        ("name", "fleet-"),
        ("name", "1fleet"),
        ("name", "f" * 41),
        ("name", ""),
        ("path", "acme/web/more"),
        ("path", "acme/.."),
        ("path", "acme/"),
        ("path", "a b"),
        ("path", "../orgs"),
        ("github-url", "api.github.com"),
        ("github-url", "ftp://api.github.com"),
        ("github-url", "https://me:pass@github.example"),
        ("github-url", "https://:pass@github.example"),
        ("github-url", "https://@github.example"),
        ("github-url", "https://github.example?x=1"),
        ("github-url", "https://github.example?"),
        ("github-url", "https://github.example#"),
        ("github-url", "https://evil.example\\.ghe.com"),
        ("github-url", "https://www.github.com"),
        ("github-url", "http://github.example"),
        ("github-url", "https://github.example:99999"),
        ("github-url", "https://[::1"),
        ("github-url", "https://github.example/\n"),
        ("virtual-machines", -1),
        ("virtual-machines", "many"),
        ("virtual-machines", 1.5),
        ("labels", "ok, not/ok"),
        ("labels", [""]),
        ("labels", 7),
        ("group", ""),
        ("group", " gpu"),
        ("group", "g" * 65),
        ("group", "gpu\x1b[2J"),
        ("group", "gpu\u202e"),
        ("vm-cpu", 0),
        ("vm-memory", "7GB"),
        ("vm-memory", "0GiB"),
        ("vm-memory", "64KiB"),
        ("vm-memory", "63MiB"),
        ("vm-disk", "1KiB"),
        ("vm-memory", "٣GiB"),
        ("vm-memory", "9999999EiB"),
        ("vm-disk", "8EiB"),
        ("vm-disk", "lots"),
        ("runner-storage", ""),
        ("runner-storage", "disk"),
        ("runner-storage", "Memory"),
        ("runner-storage", "relative/path"),
        ("runner-storage", "/a\nb"),
        ("runner-storage", "/" + "a" * 4096),
        ("runner-storage", 7),
        ("firewall", "on"),
        ("firewall", True),
        ("denylist", "10.0.0.0/33"),
        ("denylist", "10.0.0.1/8"),
        ("denylist", "example.com"),
        ("denylist", "::ffff:10.0.0.1"),
        ("denylist", "10.0.0.1:80"),
        ("denylist", [10]),
        ("denylist", 10),
        ("allowlist", "10.0.0.1:0"),
        ("allowlist", "10.0.0.1:90-80"),
        ("allowlist", "2001:db8::1:443:x"),
        ("http-proxy", "proxy.example.com:3128"),
        ("http-proxy", "http://proxy.example.com"),
        ("http-proxy", 3128),
        ("http-proxy", ["http://proxy.example.com:3128"]),
        ("https-proxy", "socks5://proxy.example.com:3128"),
        ("no-proxy", "a b"),
        ("no-proxy", "a$b"),
        ("no-proxy", [1]),
        ("use-aproxy", "perhaps"),
        ("aproxy-exclude-addresses", "private"),
        ("aproxy-redirect-ports", ""),
        ("aproxy-redirect-ports", []),
        ("aproxy-redirect-ports", 80),
        ("aproxy-redirect-ports", "80, 65536"),
        ("aproxy-redirect-ports", "0"),
        ("aproxy-redirect-ports", "http"),
        ("aproxy-redirect-ports", [True]),
        ("dockerhub-mirror", ""),
        ("dockerhub-mirror", "http://mirror.example.com"),
        ("dockerhub-mirror", "mirror.example.com"),
        ("dockerhub-mirror", "https://"),
        ("dockerhub-mirror", "https://mirror.example.com:0"),
        ("dockerhub-mirror", "https://mirror.example.com:99999"),
        ("dockerhub-mirror", "https://me:pass@mirror.example.com"),
        ("dockerhub-mirror", "https://mirror.example.com?x=1"),
        ("dockerhub-mirror", 'https://mirror.example.com/"'),
        ("log-level", "debug"),
        ("log-level", "TRACE"),
        ("log-level", 10),
        ("otel-collector-endpoint", ""),
        ("otel-collector-endpoint", "collector.example.com:4318"),
        ("otel-collector-endpoint", "grpc://collector.example.com:4317"),
        ("otel-collector-endpoint", "http://"),
        ("otel-collector-endpoint", "http://collector.example.com:0"),
        ("otel-collector-endpoint", "http://collector.example.com:99999"),
        ("otel-collector-endpoint", "http://collector.example.com?token=x"),
        ("otel-collector-endpoint", "http://a b@collector.example.com"),
        ("ssh-debug", "10.5.0.7"),
        ("ssh-debug", {"host": "10.5.0.7"}),
        ("reconcile-interval", "10"),
        ("reconcile-interval", 10),
        ("reconcile-interval", "0s"),
        ("reconcile-interval", "-1s"),
        ("reconcile-interval", "366d"),
        ("reconcile-interval", "9" * 400 + "d"),
        ("reconcile-interval", "99999999999999d"),
        ("reconcile-interval", None),
        ("token-file", 7),
        ("base-image", ""),
        ("base-image", "elsewhere:noble"),
        ("base-image", "http://images.example.com/releases:noble"),
        ("image-extra-packages", "cmake=3.1"),
        ("image-extra-packages", "cmake libpq-dev"),
        ("image-extra-packages", ["--force"]),
        ("image-extra-packages", 7),
        ("image-script", "image.sh"),
        ("image-script", ""),
        ("image-build-interval", "never"),
        ("image-build-interval", "599s"),
    ],
)
def test_a_wrong_value_is_refused_with_file_key_reason_and_example(key: str, value: object) -> None:
    line = refusal(**{key: value})
    assert line.startswith(f"config.yaml: {key}")
    assert "; for example `" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("lxd", "socket", "relative/unix.socket"),
        ("lxd", "project", "a/b"),
        ("lxd", "network", ""),
        ("lxd", "pool", "with blank"),
        ("lxd", "instance-type", "vm"),
        ("lxd", "timeout", "soon"),
        ("lxd", "creations-at-once", 0),
        ("control", "socket", "/" + "x" * 107),
        ("control", "debug", "perhaps"),
        ("signals", "address", "fe80::1"),
        ("signals", "address", "the bridge"),
        ("signals", "address", "0.0.0.0"),
        ("signals", "address", "224.0.0.1"),
        ("signals", "address", "255.255.255.255"),
        ("metrics", "address", "0.0.0.0"),
        ("metrics", "address", "::"),
        ("metrics", "port", 0),
        ("signals", "port", 0),
        ("signals", "port", 65536),
        ("limits", "booting", "10 minutes"),
        ("logs", "keep", 0),
        ("logs", "size", "15KiB"),
        ("logs", "size", "17MiB"),
        ("logs", "size", "1 MB"),
        ("journal", "retention-days", 0),
        ("journal", "max-size", "1023KiB"),
        ("journal", "max-size", "all"),
        ("metric-log", "path", "metrics.log"),
        ("metric-log", "keep", 0),
        ("limits", "offline", "0s"),
        ("app", "id", -5),
        ("app", "id", 0),
        ("app", "id", True),
        ("app", "id", 1.5),
        ("app", "id", "Iv23 li"),
        ("app", "installation-id", 0),
        ("app", "private-key-file", "key"),
    ],
)
def test_a_wrong_value_in_a_section_is_named_with_its_section(
    section: str, key: str, value: object
) -> None:
    given = {**(APP if section == "app" else {}), key: value}
    line = refusal(**{section: given})
    assert line.startswith(f"config.yaml: {section}.{key}: ")
    assert f"; for example `{key}: " in line


SERVER = {
    "host": "10.5.0.7",
    "port": 10022,
    "rsa-fingerprint": "SHA256:" + "r" * 43,
    "ed25519-fingerprint": "SHA256:" + "e" * 43 + "=",
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "10.5.0.7 x"),
        ("host", "-a"),
        ("host", ""),
        ("host", ":::"),
        ("host", "a..b"),
        ("host", "0"),
        ("host", "10.5"),
        ("host", "tmate.0x7f"),
        ("host", "a" * 64),
        ("host", "fe80::1%eth0"),
        ("host", ".".join(["a" * 63] * 4)),
        ("port", 0),
        ("port", "22"),
        ("port", 65536),
        ("rsa-fingerprint", "ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s"),
        ("ed25519-fingerprint", "SHA256:short"),
        ("ed25519-fingerprint", "MD5:" + "a" * 43),
    ],
)
def test_a_wrong_value_in_a_list_is_named_with_its_position(key: str, value: object) -> None:
    line = refusal(ssh_debug=[SERVER, {**SERVER, key: value}])
    assert line.startswith(f"config.yaml: ssh-debug.1.{key}: ")
    assert f"; for example `{key}: " in line
    assert "\n" not in line


def test_a_key_that_a_server_lacks_or_has_too_much_is_named() -> None:
    lacking = {key: value for key, value in SERVER.items() if key != "port"}
    line = refusal(ssh_debug=[lacking])
    assert line == "config.yaml: ssh-debug.0.port: is missing; for example `port: 10022`"
    line = refusal(ssh_debug=[{**SERVER, "user": "me"}])
    assert line == (
        "config.yaml: ssh-debug.0.user: unknown key; "
        "known here: ed25519-fingerprint, host, port, rsa-fingerprint"
    )


@pytest.mark.parametrize(
    ("given_", "taken"),
    [
        ("10.20.0.5", "10.20.0.5"), ("::1", "::1"), ("[::1]", "::1"),
        ("[2001:DB8::5]", "2001:db8::5"), ("fd00::5", "fd00::5"),
    ],
)  # fmt: skip
def test_the_page_of_metrics_may_be_at_one_address_of_either_family(
    given_: str, taken: str
) -> None:
    config = parse({**MINIMUM, "metrics": {"address": given_}}, "x")
    assert str(config.metrics.address) == taken


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ("::", "must be one address of this host, not one of all or of many"),
        ("0.0.0.0", "must be one address of this host, not one of all or of many"),
        ("[ff02::1]", "must be one address of this host, not one of all or of many"),
        ("::ffff:10.0.0.1", "must be one address of this host, not one of all or of many"),
        ("fe80::1", "must be no address of one link alone: the bridge has such ones, too"),
        ("fe80::1%eth0", "must be no address of one link alone: the bridge has such ones, too"),
        ("[::1]:9101", "must be an IPv4 or IPv6 address of this host, without a port"),
        ("[::1", "must be an IPv4 or IPv6 address of this host, without a port"),
        ("localhost", "must be an IPv4 or IPv6 address of this host, without a port"),
        (7, "must be an IPv4 or IPv6 address of this host, without a port"),
        ("", "must be an IPv4 or IPv6 address of this host, without a port"),
    ],
)
def test_another_address_for_the_page_of_metrics_is_said_with_what_would_be_right(
    given_: Any, reason: str
) -> None:
    line = refusal(metrics={"address": given_})
    assert line == f"config.yaml: metrics.address: {reason}; for example `address: 127.0.0.1`"


def test_the_page_of_metrics_is_not_where_guests_report() -> None:
    line = refusal(metrics={"address": "10.0.0.1"}, signals={"address": "10.0.0.1"})
    assert line.startswith("config.yaml: metrics.address: guests report to 10.0.0.1")
    config = parse({**MINIMUM, "signals": {"address": "127.0.0.1"}}, "x")
    assert config.metrics.address == config.signals.address


def test_a_network_that_is_wrong_is_named_with_its_position() -> None:
    line = refusal(denylist="10.0.0.0/8, ::1, 10.0.0.1/8")
    reason = "entry 3, 10.0.0.1/8: has bits set beyond its length: is 10.0.0.0/8 meant?"
    assert line.startswith(f"config.yaml: denylist: {reason}")


# Proxies.


@pytest.mark.parametrize("key", ["http-proxy", "https-proxy"])
def test_a_proxy_that_is_refused_is_not_quoted(key: str) -> None:
    line = refusal(**{key: f"http://me:{SECRET}@proxy.example.com"})
    assert line.startswith(f"config.yaml: {key}: must be http://HOST:PORT")


def test_a_proxy_is_shown_to_nobody() -> None:
    config = parse({**MINIMUM, "http-proxy": f"http://me:{SECRET}@proxy:3128"}, "x")
    assert SECRET not in repr(config)
    assert SECRET not in repr(config.proxies)
    assert config.proxies.http is not None
    assert str(config.proxies.http) == "http://proxy:3128"


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_proxy_is_none(nothing: str | None) -> None:
    config = parse({**MINIMUM, "http-proxy": nothing, "https-proxy": nothing}, "x")
    assert not config.proxies


@pytest.mark.parametrize(
    "given_", ["a.example, .b.example,,10.0.0.0/8", ["a.example", ".b.example", "10.0.0.0/8"]]
)
def test_hosts_without_a_proxy_are_a_list_or_words_with_commas(given_: object) -> None:
    config = parse({**MINIMUM, "no-proxy": given_}, "x")
    assert config.no_proxy == ("a.example", ".b.example", "10.0.0.0/8")


# Traces.


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.5:4318",
        "https://[2001:db8::1]:4318/",
        "https://me:pass%21word@otlp.example.com/otlp/v1/traces",
    ],
)
def test_a_collector_is_an_address_with_or_without_a_login(address: str) -> None:
    config = parse({**MINIMUM, "otel-collector-endpoint": address}, "x")
    assert config.otel_collector_endpoint is not None
    assert config.otel_collector_endpoint.get_secret_value() == address


def test_a_collectors_password_is_shown_to_nobody(tmp_path: Path) -> None:
    address = f"http://me:{SECRET}@collector.example.com"
    assert SECRET not in repr(parse({**MINIMUM, "otel-collector-endpoint": address}, "x"))
    refusal(otel_collector_endpoint=f"{address}?x")
    given_ = {
        "name": "fleet",
        "path": "acme",
        "token-file": "/x",
        "otel-collector-endpoint": address,
    }
    path = written(tmp_path / "c.yaml", yaml.safe_dump(given_), mode=0o644)
    with pytest.raises(ConfigError, match="otel-collector-endpoint"):
        load(path)


# aproxy.


@pytest.mark.parametrize("ports", ["443,80, 80", [443, 80], [443, "80"]])
def test_ports_are_a_list_or_words_with_commas(ports: object) -> None:
    assert parse({**MINIMUM, "aproxy-redirect-ports": ports}, "x").aproxy_redirect_ports == (
        80,
        443,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "use-aproxy: needs a proxy to forward to; for example `http-proxy: http://"),
        ({"http-proxy": ""}, "use-aproxy: needs a proxy to forward to"),
        ({"http-proxy": f"http://me:{SECRET}@p:3128"}, "use-aproxy: aproxy can't log in"),
        ({"https-proxy": "https://p:3128"}, "use-aproxy: aproxy speaks plain HTTP"),
        ({"http-proxy": "http://[::1]:3128"}, "use-aproxy: aproxy speaks IPv4 only"),
        ({"http-proxy": "http://p:80"}, "use-aproxy: what aproxy sends to http://p:80 would"),
        (
            {"http-proxy": "http://192.0.2.1:8080", "aproxy-redirect-ports": "80, 8080"},
            "use-aproxy: what aproxy sends to http://192.0.2.1:8080 would be redirected",
        ),
        (
            {"http-proxy": "http://p:3128", "aproxy-exclude-addresses": "fd00::/8"},
            "aproxy-exclude-addresses: aproxy redirects IPv4 only; leave IPv6 out",
        ),
    ],
)
def test_an_aproxy_that_could_not_work_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert refusal(**{"use-aproxy": True, **changes}).startswith(f"config.yaml: {reason}")


def test_a_proxy_that_aproxy_could_not_take_is_well_without_it() -> None:
    given_ = {"http-proxy": "http://me:x@[::1]:80", "aproxy-exclude-addresses": "fd00::/8"}
    assert parse({**MINIMUM, **given_}, "x").proxies


def test_a_proxy_in_an_excluded_network_may_have_a_port_that_is_redirected() -> None:
    assert parse(
        {**MINIMUM, "use-aproxy": True, "http-proxy": "http://10.0.0.9:80"}, "x"
    ).use_aproxy


def test_every_example_is_a_right_value() -> None:
    def check(model: Any, data: dict[str, Any], where: tuple[str, ...]) -> None:
        for name, field in model.model_fields.items():
            key = name.replace("_", "-")
            if hasattr(field.annotation, "model_fields"):
                check(field.annotation, data, (*where, key))
                continue
            assert field.examples, f"{key} has no example"
            changed = (
                {**data, "token": None} if key in {"token-file", "app"} and not where else data
            )
            if key == "use-aproxy":
                changed = {**data, "http-proxy": "http://proxy.example.com:3128"}
            nested: dict[str, Any] = {key: yaml.safe_load(str(field.examples[0]))}
            if where == ("policy",) and key in {"url", "token", "token-file"}:
                rest = {"mode": "external", "url": "http://10.5.0.8"}
                rest |= {"token": "s"} if key == "url" else {}
                nested = {**rest, **nested}
            if where == ("policy",) and key.startswith("package"):
                nested = {"mode": "package", "package": "one", **nested}
            for section in reversed(where):
                nested = {section: nested}
            parse({**changed, **nested}, "example")

    check(Config, MINIMUM, ())


def test_a_missing_key_is_named_with_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"token": SECRET}, "config.yaml")
    assert str(caught.value).splitlines() == [
        "config.yaml: name: is missing; for example `name: runner-host-1`",
        "config.yaml: path: is missing; for example `path: my-organisation`",
    ]


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    line = refusal(virtual_machine=3)
    assert line.startswith("config.yaml: virtual-machine: unknown key; known here: ")
    assert "virtual-machines" in line


def test_an_unknown_key_of_a_section_is_refused_with_those_of_the_section() -> None:
    line = refusal(control={"sokcet": "/run/x"})
    assert line == "config.yaml: control.sokcet: unknown key; known here: debug, socket"


def test_a_section_that_is_no_section_is_refused_with_what_one_looks_like() -> None:
    assert refusal(limits="yes") == (
        "config.yaml: limits: must hold keys and values; for example `limits: {requested: 10m}`"
    )
    assert refusal(policy=SECRET) == (
        "config.yaml: policy: must hold keys and values; for example `policy: {mode: builtin}`"
    )


@pytest.mark.parametrize("changes", [{"token-file": "/x"}, {"app": APP}, {"token": None}])
def test_there_is_one_credential_and_not_two(changes: dict[str, Any]) -> None:
    line = refusal(**changes)
    assert line.startswith("config.yaml: give one of token, token-file and app; for example `token")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "sécret", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml: token: must be one line"):
        parse({**MINIMUM, "token": token}, "config.yaml")


@pytest.mark.parametrize(
    "given",
    [
        SECRET,
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----\n",
        "relative/token",
        "",
        f"/{SECRET}\0",
        f"/{SECRET}\n",
        f"/{SECRET}\ud800",
        "/" + SECRET * 200,
        f"$CREDENTIALS_DIRECTORY/{SECRET}\n",
        f"$CREDENTIALS_DIRECTORY/../{SECRET}",
        f"$CREDENTIALS_DIRECTORY/{SECRET}/token",
        "$CREDENTIALS_DIRECTORY",
        "$CREDENTIALS_DIRECTORY/..",
    ],
)
def test_a_secret_in_the_place_of_its_file_is_refused_and_not_quoted(given: str) -> None:
    rule = "must be the absolute path of a file; for example"
    line = refusal(token=None, token_file=given)
    assert line.startswith(f"config.yaml: token-file: {rule} `token-file: /etc/")
    app = {"id": 12345, "installation-id": 678, "private-key-file": given}
    line = refusal(token=None, app=app)
    assert line.startswith(f"config.yaml: app.private-key-file: {rule} `private-key-file: /etc/")


@given(st.text(min_size=4))
def test_a_refused_token_is_never_quoted(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**MINIMUM, "token": {"nested": f"t0k3n{token}"}, "vm-cpu": "x"}, "config.yaml")
    assert "t0k3n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET not in repr(parse(MINIMUM, "x"))


@given(st.integers(1, 3600), st.sampled_from("smhd"))
def test_a_duration_is_a_number_and_a_unit(number: int, unit: str) -> None:
    length = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    if number * length <= 365 * 86400:
        assert durations(f"{number}{unit}") == timedelta(seconds=number * length)
        assert durations(f" {number} {unit} ") == durations(f"{number}{unit}")


def test_a_duration_may_have_a_fraction() -> None:
    assert durations("0.5m") == timedelta(seconds=30)


@pytest.mark.parametrize("labels", ["large, gpu", ["large", "gpu"], ",large,,gpu , "])
def test_labels_are_a_list_or_words_with_commas(labels: object) -> None:
    assert parse({**MINIMUM, "labels": labels}, "x").labels == ("large", "gpu")


def test_labels_are_as_many_as_github_takes_with_the_three_given_ones() -> None:
    labels = [f"label-{number}" for number in range(98)]
    assert len(parse({**MINIMUM, "labels": labels[:97]}, "x").labels) == 97
    assert refusal(labels=labels).startswith("config.yaml: labels: must be at most 97: ")
    assert parse({**MINIMUM, "labels": ["x" * 256]}, "x").labels == ("x" * 256,)
    assert "labels.0" in refusal(labels=["x" * 257])


@pytest.mark.parametrize("app_id", [12345, "12345", "Iv23liAbCd.E-f"])
def test_an_app_is_named_by_its_number_or_client_id(app_id: object) -> None:
    config = parse({"name": "a", "path": "b", "app": {**APP, "id": app_id}}, "x")
    assert config.app is not None
    assert config.app.id == str(app_id)


def test_a_key_of_the_app_that_is_missing_is_named_with_an_example() -> None:
    line = refusal(token=None, app={"id": 1, "private-key-file": "/key"})
    expected = "app.installation-id: is missing; for example `installation-id: 678`"
    assert line == f"config.yaml: {expected}"


@pytest.mark.parametrize("path", ["acme", "enterprises/acme"])
def test_organisations_and_enterprises_have_runner_groups(path: str) -> None:
    assert parse({**MINIMUM, "path": path, "group": "gpu: größer"}, "x").group == "gpu: größer"


def test_metadata_services_of_clouds_are_denied_unless_an_operator_opens_them() -> None:
    assert [str(network) for network in parse(MINIMUM, "x").denylist] == ["169.254.0.0/16"]
    assert parse({**MINIMUM, "denylist": ""}, "x").denylist == ()
    assert parse({**MINIMUM, "denylist": []}, "x").denylist == ()


def test_a_repository_has_no_runner_group_but_the_default() -> None:
    line = refusal(path="acme/demo", group="gpu")
    assert line == (
        "config.yaml: group: the repository acme/demo has no runner groups; leave it out"
    )
    assert parse({**MINIMUM, "path": "acme/demo", "group": "default"}, "x").group == "default"


def test_how_long_a_runner_may_be_offline_is_no_limit_of_a_stage() -> None:
    limits = parse({**MINIMUM, "limits": {"booting": "1m", "offline": "2m"}}, "x").limits
    assert limits.offline == timedelta(minutes=2)
    assert limits.limits() == Limits(booting=timedelta(minutes=1))
    assert parse(MINIMUM, "x").limits.offline == timedelta(minutes=5)


# The file.


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", yaml.safe_dump(MINIMUM))
    assert load(path) == parse(MINIMUM, "x")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_with_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "c.yaml", yaml.safe_dump(MINIMUM), mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: token: ")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", ["http-proxy", "https-proxy"])
def test_a_proxy_with_a_password_makes_the_file_a_secret(tmp_path: Path, key: str) -> None:
    given_ = {"name": "a", "path": "b", "token-file": "/t", key: f"http://me:{SECRET}@p:3128"}
    path = written(tmp_path / "c.yaml", yaml.safe_dump(given_), 0o644)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {key}: the file is open to others (mode 0644)")
    assert SECRET not in str(caught.value)
    assert load(written(path, yaml.safe_dump(given_), 0o600)).proxies
    assert load(written(path, yaml.safe_dump({**given_, key: "http://p:3128"}), 0o644)).proxies


def test_a_file_without_a_token_may_be_read_by_all(tmp_path: Path) -> None:
    token = written(tmp_path / "token", f"{SECRET}\n")
    path = written(tmp_path / "c.yaml", f"name: a\npath: b\ntoken-file: {token}\n", 0o644)
    assert load(path).token_file == token


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a\nname: b\n", "line 2, column 1: the key 'name' stands twice"),
        ("lxd:\n  pool: a\n  pool: b\n", "line 3, column 3: the key 'pool' stands twice"),
        ("? [a, b]\n: c\n", "line 1, column 3: a key must be a word"),
        ("1: 2\n", "line 1, column 1: a key must be a word"),
        ("name: [\n", "line 2, column 1:"),
        ("name: 2001-99-99\n", "holds a value that YAML can't read"),
        ("name: !!python/object/apply:os.getcwd []\n", "line 1, column 7: could not determine"),
        ("just words", "must hold keys and values"),
        ("- a\n- b\n", "must hold keys and values"),
        ("", "must hold keys and values"),
        ("name: \0", "is not YAML"),
        ("[" * 5000, "holds a value that YAML can't read"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = written(tmp_path / "c.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(tmp_path)


@given(st.binary(max_size=60) | st.text(alphabet="ab:-? \n[]{}&*!<>|'\"#%@01", max_size=40))
def test_whatever_a_file_holds_it_is_a_configuration_or_a_clear_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError):
        load(path)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("pool", "pool"),
        ("memory", "memory"),
        ("juju-storage", "/storage/juju"),
        ("/srv/runners", "/srv/runners"),
        ("/srv//runners/", "/srv/runners"),
    ],
)
def test_the_places_of_runners_disks_are_taken(given_: str, kept: str) -> None:
    assert parse({**MINIMUM, "runner-storage": given_}, "x").runner_storage == kept


@pytest.mark.parametrize(
    ("written_", "read"),
    [
        ("jammy", "jammy"),
        (24.04, "24.04"),
        ("images:debian/12/cloud", "images:debian/12/cloud"),
        ("https://images.example.com/streams:debian/12", "https://images.example.com/streams:debian/12"),
        ("my-own", "my-own"),
    ],
)  # fmt: skip
def test_the_base_image_is_named_as_operators_know_it(written_: object, read: str) -> None:
    assert parse({**MINIMUM, "base-image": written_}, "x").base_image == read


def test_packages_are_a_list_or_separated_by_commas() -> None:
    for packages in ("cmake, libpq-dev", ["cmake", "libpq-dev"]):
        found = parse({**MINIMUM, "image-extra-packages": packages}, "x").image_extra_packages
        assert found == ("cmake", "libpq-dev")


@pytest.mark.parametrize(
    ("key", "value"),
    [("base-image", "noble"), ("image-extra-packages", ""), ("image-script", "/image.sh")],
)
def test_what_is_built_can_not_be_set_where_nothing_is(key: str, value: str) -> None:
    line = refusal(lxd={"image": "prepared"}, **{key: value})
    assert line == (
        "config.yaml: lxd.image: names an image that is prepared already, so nothing is built, and "
        f"{key} would have no effect; leave out one or the other"
    )


# What a running daemon can take over.


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"virtual-machines": 9}, ()),
        ({"labels": "new"}, ()),
        ({"vm-memory": "8GiB"}, ()),
        ({"token": "another"}, ()),
        ({"token": None, "token-file": "/token"}, ()),
        ({"token": None, "app": APP}, ()),
        ({"group": "gpu"}, ()),
        ({"limits": {"booting": "1m"}}, ()),
        ({"lxd": {"image": "new"}}, ()),
        ({"base-image": "jammy", "image-script": "/image.sh", "image-build-interval": "1h"}, ()),
        ({"name": "other"}, ("name",)),
        ({"path": "other"}, ()),
        ({"github-url": "https://other"}, ()),
        ({"github-url": "https://api.github.com/"}, ()),
        ({"signals": {"port": 1}}, ("signals",)),
        ({"control": {"debug": True}}, ("control",)),
        ({"metrics": {"port": 1}}, ("metrics",)),
        ({"metric-log": {"path": "/var/log/metrics.log"}}, ("metric-log",)),
        ({"journal": {"retention-days": 1}}, ()),
        ({"lxd": {"timeout": "1s", "network": "br0"}}, ("lxd.network", "lxd.timeout")),
        ({"runner-storage": "memory"}, ("runner-storage",)),
        ({"lxd": {"creations-at-once": 9}}, ("lxd.creations-at-once",)),
        ({"http-proxy": "http://p:3128"}, ()),
        ({"no-proxy": "a.example"}, ()),
        ({"use-aproxy": True, "http-proxy": "http://p:3128"}, ()),
        ({"dockerhub-mirror": "https://m.example"}, ()),
        ({"ssh-debug": [SERVER]}, ()),
        ({"denylist": "10.0.0.0/8"}, ()),
        ({"allowlist": "10.0.0.1:80"}, ()),
        ({"firewall": "external"}, ("firewall",)),
    ],
)
def test_what_a_running_daemon_can_not_change_is_named(
    changes: dict[str, Any], needs: tuple[str, ...]
) -> None:
    before, after = parse(MINIMUM, "x"), parse({**MINIMUM, **changes}, "x")
    assert before.needs_restart(after) == needs
    assert before.needs_restart(before) == ()


@pytest.mark.parametrize(
    "text", [f"token: *{SECRET}\n", f"token: !{SECRET} x\n", f"token: %{SECRET}"]
)
def test_yamls_own_words_do_not_quote_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1, column \d+: ") as caught:
        load(written(tmp_path / "c.yaml", text))
    assert SECRET not in str(caught.value)


def test_a_key_can_not_speak_to_the_terminal() -> None:
    assert "\x1b" not in refusal(**{"\x1b]0;pwn\x07": 1})


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is not a regular file"):
        load(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("size", "in_bytes"), [("16KiB", 16384), ("1MiB", 1 << 20), ("16MiB", 16 << 20)]
)
def test_the_size_of_a_log_is_told_in_bytes(size: str, in_bytes: int) -> None:
    assert parse({**MINIMUM, "logs": {"size": size}}, "x").logs.most_bytes == in_bytes


PACKAGE = {"mode": "package", "package": "one"}


@pytest.mark.parametrize("key", ["package", "package-index"])
def test_a_file_with_a_login_for_a_package_is_closed_to_others(tmp_path: Path, key: str) -> None:
    path = tmp_path / "config.yaml"
    login = f"https://me:{SECRET}@files.example/x.whl"
    keys = {"name": "fleet", "path": "acme", "token-file": "/token"}
    text = yaml.safe_dump({**keys, "policy": {**PACKAGE, key: login}})
    with pytest.raises(ConfigError) as caught:
        load(written(path, text, 0o644))
    assert str(caught.value).startswith(f"{path}: policy.{key}: the file is open to others")
    assert SECRET not in str(caught.value)
    assert load(written(path, text, 0o600)).policy.package_source.secrets() == (SECRET,)


EXTERNAL = {"mode": "external", "url": "https://policy.example", "token": "s"}


def test_jobs_are_checked_by_the_service_of_the_daemon_unless_it_is_said_otherwise() -> None:
    policy = parse(MINIMUM, "x").policy
    assert (policy.mode, policy.port, policy.workers, policy.document) == ("builtin", 8643, 2, None)


def test_the_word_off_means_off_although_yaml_takes_it_for_false(tmp_path: Path) -> None:
    text = "name: fleet\npath: acme\ntoken: t\npolicy: {mode: off}\n"
    assert load(written(tmp_path / "c.yaml", text)).policy.mode == "off"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "on"}, "policy.mode: "),
        ({"mode": "package"}, "policy: mode package needs package; for example"),
        ({"package": "x"}, "policy: package: only for mode package; leave out, or set `mode: pac"),
        ({**EXTERNAL, "package-app": "a:b"}, "policy: package-app: only for mode package; leave"),
        ({**PACKAGE, "package": "-e ."}, "policy.package: must be a package's name, an address"),
        ({**PACKAGE, "package": "http://a.example/x.whl"}, "policy.package: an address must begin"),
        ({**PACKAGE, "package": f"https://{SECRET}@a.example/x"}, "policy.package: credentials in"),
        (
            {**PACKAGE, "package": f"https://a.example/x?{SECRET}"},
            "policy.package: an address must",
        ),
        (
            {**PACKAGE, "package-index": f"https://a.example/x?{SECRET}"},
            "policy.package-index: an address must have no query",
        ),
        (
            {**PACKAGE, "package-index": "http://a.example"},
            "policy.package-index: must be an https",
        ),
        ({**PACKAGE, "package-links": "wheels"}, "policy.package-links: must be the absolute path"),
        ({**PACKAGE, "package-app": "module"}, "policy.package-app: must be MODULE:NAME"),
        ({"mode": True}, "policy.mode: "),
        ({"port": 0}, "policy.port: "),
        ({"port": 8642}, "policy.port: 8642 is signals.port too"),
        ({"workers": 0}, "policy.workers: "),
        ({"workers": 33}, "policy.workers: "),
        ({"document": "relative.yaml"}, "policy.document: must be the absolute path of a file"),
        ({"document": 7}, "policy.document: the document: must be a mapping with any of pull_req"),
        ({"document": {"push": {"x": {}}}}, "policy.document: push: has no 'x'; there are collab"),
        ({"user": "no body"}, "policy.user: must be the name of a user of this host"),
        ({"token-lifetime": "1h"}, "policy.token-lifetime: must be longer than limits.idle"),
        ({"mode": "external"}, "policy: mode external needs url, and one of token and token-file"),
        ({**EXTERNAL, "token-file": "/t"}, "policy: mode external needs url, and one of token"),
        ({**EXTERNAL, "token": None}, "policy: mode external needs url, and one of token"),
        ({**EXTERNAL, "url": "ftp://policy.example"}, "policy.url: must be an http or https addr"),
        ({**EXTERNAL, "url": "https://me:pass@policy.example"}, "policy.url: must be an http"),
        ({**EXTERNAL, "url": "http://policy.example"}, "policy.url: must begin with https"),
        ({"user": "root"}, "policy.user: must be the name of a user of this host that is not root"),
        ({**EXTERNAL, "document": {}}, "policy: document: only for mode builtin or package;"),
        ({**EXTERNAL, "user": "nobody"}, "policy: user: only for mode builtin or package; leave"),
        ({"url": "https://policy.example"}, "policy: url: only for mode external; leave out, or"),
        ({"mode": "off", "token": SECRET}, "policy: token: only for mode external; leave out, or"),
    ],
)
def test_wrong_settings_of_the_policy_are_said_with_what_would_be_right(
    given: dict[str, Any], said: str
) -> None:
    line = refusal(policy=given)
    assert line.startswith(f"config.yaml: {said}")
    assert "\n" not in line
    assert SECRET not in line


def test_a_token_outlives_the_longest_wait_for_a_job() -> None:
    assert parse(MINIMUM, "x").token_lifetime == timedelta(days=2)
    longer = {**MINIMUM, "limits": {"idle": "7d"}}
    assert parse(longer, "x").token_lifetime == timedelta(days=14)
    given = {**longer, "policy": {"token-lifetime": "8d"}}
    assert parse(given, "x").token_lifetime == timedelta(days=8)


@pytest.mark.parametrize("word", ["off", "no", "false", "'off'"])
def test_a_policy_that_is_a_bare_word_is_refused_with_how_it_is_spelt(
    tmp_path: Path, word: str
) -> None:
    path = written(tmp_path / "c.yaml", f"name: fleet\npath: acme\ntoken: t\npolicy: {word}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: policy: must hold keys and values; for example `policy: {{mode: off}}`"
    )


def test_a_file_with_the_policys_token_must_not_be_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        yaml.safe_dump({"name": "f", "path": "a", "token-file": "/t", "policy": EXTERNAL})
    )
    path.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: policy.token: the file is open to others (mode 0644); `chmod 600 {path}`, or use "
        "policy.token-file"
    )


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"policy": {"mode": "off"}}, ("policy.mode",)),
        ({"policy": {"port": 9000}}, ("policy.port",)),
        ({"policy": {"user": "nobody"}}, ("policy.user",)),
        ({"policy": EXTERNAL}, ("policy.mode", "policy.url")),
        ({"policy": {"workers": 3, "document": {}, "token-lifetime": "9d"}}, ()),
    ],
)
def test_where_the_policy_is_asked_changes_with_a_restart_only(
    changes: dict[str, Any], needs: tuple[str, ...]
) -> None:
    assert parse(MINIMUM, "x").needs_restart(parse({**MINIMUM, **changes}, "x")) == needs


def test_what_is_kept_of_logs_can_change_while_the_daemon_runs() -> None:
    before, after = parse(MINIMUM, "x"), parse({**MINIMUM, "logs": {"keep": 3}}, "x")
    assert before.needs_restart(after) == ()


def test_a_list_that_is_none_is_said_to_be_none() -> None:
    line = refusal(**{"ssh-debug": {"host": "10.5.0.7"}})
    assert "ssh-debug: must be a list; for example `ssh-debug: [{host: " in line


def test_a_bad_exception_to_the_proxies_is_named_with_its_position() -> None:
    assert "no-proxy: entry 2, a b: must be a host" in refusal(**{"no-proxy": "localhost, a b"})
