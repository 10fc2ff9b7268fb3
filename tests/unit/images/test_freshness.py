from supervisor.images.freshness import in_words, outdated

# As apt 2.6 writes it.
SIMULATED = """\
NOTE: This is only a simulation!
The following packages will be upgraded:
  jq libc6
2 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.
Inst libc6 [2.36-9] (2.36-10 Debian:12/stable [amd64])
Inst jq [1.6] (1.7 Debian:12/stable [amd64])
Conf libc6 (2.36-10 Debian:12/stable [amd64])
Conf jq (1.7 Debian:12/stable [amd64])
"""


def test_what_apt_would_install_is_out_of_date() -> None:
    assert outdated(SIMULATED) == ("libc6", "jq")
    assert outdated(SIMULATED.partition("Inst")[0]) == ()


def test_the_first_few_are_named() -> None:
    assert in_words(()) == ""
    assert in_words(("a", "b")) == "a, b"
    assert in_words(tuple("abcdefg")) == "a, b, c, d, e and 2 more"
