"""Lifetime of the tokens of lists in pages."""

from __future__ import annotations

from tiphys.apiserver.cache.pages import PAGES_SECONDS, Pages


def test_tokens_of_a_list_hold_for_a_while_and_not_for_ever() -> None:
    pages = Pages()
    pages.begun(5, 1000.0)
    pages.begun(9, 1200.0)
    assert not pages.is_over(5, 1000.0 + PAGES_SECONDS)
    assert pages.is_over(5, 1010.0 + PAGES_SECONDS)
    assert pages.is_over(4, 1010.0 + PAGES_SECONDS), "what is older is over as well"
    assert not pages.is_over(9, 1010.0 + PAGES_SECONDS)
    assert pages.is_over(9, 1210.0 + PAGES_SECONDS)
    assert pages.is_over(5, 1210.0 + PAGES_SECONDS)
    assert not pages.is_over(10, 1210.0 + PAGES_SECONDS)


def test_many_lists_need_little_memory() -> None:
    pages = Pages()
    for number in range(100_000):
        pages.begun(number, number / 10)
    assert len(pages._begun) <= PAGES_SECONDS / 5 + 1
    assert pages.is_over(10, 10_000)
