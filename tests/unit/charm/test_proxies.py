"""The model's proxies, as hooks are told of them."""

from proxies import ModelProxies


def test_a_model_without_proxies_gives_none() -> None:
    # Juju sets the variables empty, but for the exceptions, which a model has by default.
    told = {
        "JUJU_CHARM_HTTP_PROXY": "",
        "JUJU_CHARM_HTTPS_PROXY": "",
        "JUJU_CHARM_NO_PROXY": "127.0.0.1,localhost,::1",
    }
    assert not ModelProxies.of(told)
    assert ModelProxies.of(told).environment() == {}
    assert not ModelProxies.of({})


def test_proxies_are_given_in_both_spellings() -> None:
    found = ModelProxies.of({"JUJU_CHARM_HTTPS_PROXY": " http://proxy:3128 "})
    assert found.environment() == {
        "https_proxy": "http://proxy:3128",
        "HTTPS_PROXY": "http://proxy:3128",
    }


def test_other_proxies_of_the_environment_are_not_the_model_s() -> None:
    assert not ModelProxies.of({"http_proxy": "http://proxy:3128"})
