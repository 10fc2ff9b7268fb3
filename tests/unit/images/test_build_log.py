from supervisor.images.build_log import MOST_BYTES, BuildLog


def test_lines_are_passed_on_harmless_and_without_secrets() -> None:
    said: list[str] = []
    log = BuildLog(said.append, secrets=("hunter22",))
    for line in ("step: one", "", "\x1b[31mred\x07", "to http://user:hunter22@proxy:1/ it goes"):
        log.write(line)
    assert said == ["step: one", "red\ufffd", "to http://[withheld]@proxy:1/ it goes"]
    assert log.step == "one"


def test_of_an_endless_log_the_beginning_is_passed_on_and_the_end_remembered() -> None:
    said: list[str] = []
    log = BuildLog(said.append)
    for number in range(2 * MOST_BYTES // 1000):
        log.write(f"{number} {'x ' * 500}")
    log.write("step: the last one")
    log.write("E: it failed")
    assert sum(len(line) + 1 for line in said) < MOST_BYTES + 2000
    assert said[-1] == "(the rest is left out)"
    assert log.step == "the last one"
    assert log.ending().endswith("step: the last one / E: it failed")
