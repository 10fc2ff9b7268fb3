import pytest
from hypothesis import given
from hypothesis import strategies as st
from operators_words import addresses_of_proxies

from supervisor.web.proxies import Proxies, Proxy, parse_exception, parse_proxy, secrets_in

PASSWORD = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "shown"),
    [
        ("http://proxy:3128", "http", "proxy", 3128, "http://proxy:3128"),
        (" https://10.0.0.9:1/ ", "https", "10.0.0.9", 1, "https://10.0.0.9:1"),
        ("http://u@a.example:65535", "http", "a.example", 65535, "http://a.example:65535"),
        ("http://u:p%40@a.example:80", "http", "a.example", 80, "http://a.example:80"),
        ("http://u:@[2001:db8::1]:80", "http", "2001:db8::1", 80, "http://[2001:db8::1]:80"),
    ],
)
def test_a_proxy_is_read_and_shown_without_who_logs_in(
    text: str, scheme: str, host: str, port: int, shown: str
) -> None:
    proxy = parse_proxy(text)
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
    assert str(proxy) == shown
    assert proxy.has_credentials is ("@" in text)
    assert not proxy.url.endswith("/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy.example.com:3128",
        "http://proxy.example.com",
        "http://proxy.example.com:",
        "http://proxy.example.com:0",
        "http://proxy.example.com:65536",
        "http://proxy.example.com:3128/path",
        "http://proxy.example.com:3128?x",
        "http://-proxy:3128",
        "http://[::1:3128",
        "http://[1.2.3.4]:3128",
        "http://:3128",
        "http://@proxy:3128",
        "socks5://proxy:3128",
        "ftp://proxy:3128",
        "HTTP://proxy:3128",
        f"http://u:{PASSWORD}@h@proxy:3128",
        f"http://u:{PASSWORD} @proxy:3128",
        f"http://u:{PASSWORD}$(id)@proxy:3128",
        f"http://u:{PASSWORD}\n@proxy:3128",
        f"http://u:{PASSWORD}'@proxy:3128",
        f'http://u:{PASSWORD}"@proxy:3128',
        f"http://u:{PASSWORD}\\@proxy:3128",
        f"http://u:{PASSWORD}#@proxy:3128",
        f"http://u:{PASSWORD}/@proxy:3128",
        f"http://u:{PASSWORD}ü@proxy:3128",
    ],
)
def test_what_is_no_proxy_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="must be http://HOST:PORT") as caught:
        parse_proxy(text)
    assert PASSWORD not in str(caught.value)


@given(addresses_of_proxies())
def test_a_proxy_that_is_taken_says_where_it_is_and_hides_who_logs_in(text: str) -> None:
    proxy = parse_proxy(text)
    assert proxy.host
    assert 1 <= proxy.port <= 65535
    assert "@" not in str(proxy) + repr(proxy)
    assert parse_proxy(proxy.url) == proxy


@given(st.text())
def test_any_other_text_is_refused_in_the_same_words(text: str) -> None:
    try:
        parse_proxy(text)
    except ValueError as error:
        assert str(error).startswith("must be http://HOST:PORT, with USER:PASSWORD@")  # noqa: PT017


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://proxy:3128", ()),
        ("http://user:p%40ss@proxy:3128", ("user:p%40ss", "p%40ss", "user:p@ss", "p@ss")),
        ("https://token@proxy:3128", ("token",)),
        ("http://user:@proxy:3128", ("user:", "user")),
        ("http://[::1", ()),
        ("", ()),
    ],
)
def test_what_may_stand_in_no_log_is_known(url: str, secrets: tuple[str, ...]) -> None:
    assert secrets_in(url) == secrets


def test_proxies_are_those_that_are_set() -> None:
    one, two = Proxy("http://u:p@a:1"), Proxy("http://v:q@b:2")
    assert Proxies(one, two).all() == (one, two)
    assert Proxies(None, two).all() == (two,)
    assert Proxies(one, two).secrets() == ("u:p", "p", "v:q", "q")
    assert Proxies(one)
    assert not Proxies(exceptions=("a",))


@pytest.mark.parametrize("text", ["a.example", ".a.example", "*", "10.0.0.0/8", "[::1]:80", "a_b"])
def test_exceptions_are_hosts_domains_and_networks(text: str) -> None:
    assert parse_exception(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a,b", "$x", "a'b", "a#b", "a\n", "http://a\\"])
def test_what_no_program_reads_as_an_exception_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a host, a domain or a network"):
        parse_exception(text)
