"""Failures of the shared suite are explained."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tiphys.testing.csi_suite", "tiphys.testing.csi_node_suite")
