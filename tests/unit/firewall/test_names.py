from __future__ import annotations

from supervisor.firewall.names import installations, table_name


def test_a_table_is_named_for_the_installation_and_the_bridge() -> None:
    assert table_name("web", "lxdbr0") == "github-runners.web.lxdbr0"


def test_all_installations_that_guard_a_bridge_are_found_by_their_tables() -> None:
    others = ["lxd", "github-runners.b.c.br0", "github-runners.d.br01"]
    tables = [*others, "github-runners.a.br0", "github-runners.b-2.br0"]

    assert installations(tables, "br0") == ["a", "b-2"]
    assert installations(tables, "c.br0") == ["b"]
    assert installations(tables, "br.") == []
