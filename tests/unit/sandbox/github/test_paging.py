from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from requests.utils import parse_header_links

from sandbox.github.paging import cut


@given(total=st.integers(0, 250), size=st.integers(1, 100))
def test_following_the_links_shows_each_item_once(total: int, size: int) -> None:
    items = list(range(total))
    seen: list[int] = []
    query = {"per_page": str(size), "name": "a b&c"}
    for _ in range(total + 2):
        page = cut(items, query)
        seen += page.items
        links = {
            each["rel"]: each["url"] for each in parse_header_links(page.link("http://h/x") or "")
        }
        if "next" not in links:
            break
        query = {key: value[0] for key, value in parse_qs(urlsplit(links["next"]).query).items()}
    assert seen == items
    assert query["name"] == "a b&c"


def test_a_single_page_needs_no_link() -> None:
    assert cut([1, 2], {}).link("http://h/x") is None
    assert cut([], {}).link("http://h/x") is None


def test_a_page_beyond_the_end_points_back_to_the_last() -> None:
    page = cut([1, 2, 3], {"per_page": "2", "page": "9"})
    assert page.items == []
    assert 'page=2>; rel="prev"' in (page.link("http://h/x") or "")
