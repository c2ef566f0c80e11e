import asyncio

import pytest

pytest.register_assert_rewrite("tiphys.testing.store_suite")

# pytest-asyncio asks for the current event loop before it makes its own; without this line Python 3.11 makes one up, which nobody closes.
asyncio.set_event_loop(None)
