"""Names of images."""

from __future__ import annotations

from tiphys.scheduler.matching import image_name


def test_image_names_have_tags() -> None:
    assert image_name("web") == "web:latest"
    assert image_name("registry:5000/web") == "registry:5000/web:latest"
    assert image_name("registry:5000/web:1") == "registry:5000/web:1"
