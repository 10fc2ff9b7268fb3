"""A wrong value is refused with its file, key and reason, and an example."""

import pytest

from tests.unit.config.examples import APP, SERVER, refusal


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


def test_a_network_that_is_wrong_is_named_with_its_position() -> None:
    line = refusal(denylist="10.0.0.0/8, ::1, 10.0.0.1/8")
    reason = "entry 3, 10.0.0.1/8: has bits set beyond its length: is 10.0.0.0/8 meant?"
    assert line.startswith(f"config.yaml: denylist: {reason}")


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


def test_a_list_that_is_none_is_said_to_be_none() -> None:
    line = refusal(**{"ssh-debug": {"host": "10.5.0.7"}})
    assert "ssh-debug: must be a list; for example `ssh-debug: [{host: " in line
