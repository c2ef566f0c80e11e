"""Base of the settings of control loops."""

from __future__ import annotations


class LoopSettings:
    """Base of the settings of one loop, or of several in one folder: a frozen dataclass in which every field has a default."""

    @property
    def enabled(self) -> bool:
        """True if the loop can run with these settings."""
        return True


WORKERS = 2
"""Keys that a loop works on at once, unless its settings say otherwise."""
