"""Python packages in images: what comes along, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.images import python
from tiphys.images.packages import ImageError, Packages
from tiphys.images.python import edition, interpreter_packages, requirements
from tiphys.images.recipe import Recipe, fingerprint, recipes
from tiphys.images.rootfs import Rootfs


def install(site: Path, name: str, *, needs: tuple[str, ...] = (), version: str = "1", in_place: bool = False) -> Path:
    """Install a package with one module; returns the module."""
    info = f"{name}-{version}.dist-info"
    (site / info).mkdir(parents=True)
    lines = [f"Requires-Dist: {requirement}" for requirement in needs]
    (site / info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""]))
    (site / info / "RECORD").write_text(
        f"{info}/METADATA,,\n" + (f"__editable__.{name}.pth,,\n" if in_place else f"{name}/__init__.py,,\n")
    )
    (site / name).mkdir()
    module = site / name / "__init__.py"
    module.write_text("value = 1\n")
    return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_requirements_of_a_package_come_along(site: Path) -> None:
    install(site, "top_one", needs=("Middle.One>=1", 'tool; extra == "dev"', 'older; python_version < "3"', "top-one"))
    install(site, "middle_one", needs=("base_one (>=1)",))
    install(site, "base_one")
    assert [one.name for one in requirements(["top_one"])] == ["base_one", "middle_one", "top_one"]


def test_a_package_that_is_missing_is_named(site: Path) -> None:
    install(site, "top_one", needs=("absent_one",))
    with pytest.raises(ImageError, match="absent_one is not installed"):
        requirements(["top_one"])


def test_tiphys_needs_its_libraries_but_not_those_of_its_tests() -> None:
    names = {one.name.lower() for one in requirements(["tiphys"])}
    assert {"tiphys", "aiohttp", "grpcio", "frozenlist", "protobuf"} <= names
    assert not {"pytest", "hypothesis", "mypy"} & names


def test_an_edition_follows_versions_and_what_is_developed_here(site: Path) -> None:
    module = install(site, "in_place", in_place=True)
    install(site, "released")
    before = edition(["in_place"]), edition(["released"])
    module.write_text("value = 2\n")
    assert edition(["in_place"]) != before[0]
    (site / "released" / "__init__.py").write_text("value = 2\n")
    assert edition(["released"]) == before[1]
    (site / "released-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: released\nVersion: 2\n")
    assert edition(["released"]) != before[1]


def test_a_fingerprint_follows_python_packages(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = install(site, "in_place", in_place=True)
    monkeypatch.setattr("tiphys.images.recipe.recipes", lambda: {"made": Recipe(python=["in_place"])})
    before = fingerprint("made", "amd64")
    assert fingerprint("made", "amd64") == before
    module.write_text("value = 2\n")
    assert fingerprint("made", "amd64") != before


def test_another_version_than_the_distributions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "candidate_version", lambda name: "3.11.2-1+b1")
    monkeypatch.setattr(python, "minor_version", lambda: "3.11")
    assert "python3.11-minimal" in interpreter_packages()
    monkeypatch.setattr(python, "minor_version", lambda: "3.14")
    with pytest.raises(ImageError, match=r"runs on cpython 3\.14.*which is 3\.11: start Tiphys with /usr/bin/python3"):
        interpreter_packages()
    monkeypatch.setattr(python, "candidate_version", lambda name: "")
    with pytest.raises(ImageError, match="unavailable"):
        interpreter_packages()


def test_a_package_without_a_list_of_files_is_refused(site: Path) -> None:
    install(site, "unlisted")
    (site / "unlisted-1.dist-info" / "RECORD").unlink()
    with pytest.raises(ImageError, match="without a list of its files"):
        python.add_python(Rootfs(), ["unlisted"], Files(site), site / "workspace")


class Files(Packages):
    """An interpreter of one file."""

    def find(self, pattern: str):  # type: ignore[no-untyped-def]
        program = self._workspace / "program"
        program.write_bytes(b"")
        return iter([(pattern, program)] if pattern.startswith("/usr/bin") else [])


def test_packages_come_compiled_with_their_programs(site: Path) -> None:
    module = install(site, "in_place", in_place=True)
    (module.parent / "tests").mkdir()
    (module.parent / "tests" / "test_it.py").write_text("")
    (site / "in_place-1.dist-info" / "entry_points.txt").write_text("[console_scripts]\nplace = in_place.cli:main\n")
    tree = Rootfs()
    python.add_python(tree, ["in_place"], Files(site), site / "workspace")
    below = sorted(path.removeprefix(python.SITE + "/") for path in tree.nodes if path.startswith(python.SITE))
    cached = f"in_place/__pycache__/__init__.cpython-{python.minor_version().replace('.', '')}.pyc"
    assert below == ["in_place-1.dist-info/METADATA", "in_place/__init__.py", cached]
    assert tree.nodes["/usr/bin/python3"].target == f"python{python.minor_version()}"
    assert b"from in_place.cli import main" in (tree.nodes["/usr/bin/place"].data or b"")


def test_libraries_that_packages_bring_are_not_looked_for(tmp_path: Path) -> None:
    tree = Rootfs()
    program = Path("/bin/true").resolve().read_bytes()
    tree.file("/usr/bin/true", program)
    for name in ("libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"):
        tree.file(f"{python.SITE}/libs/{name}", b"")
    assert tree.missing_libraries(Packages(tmp_path), set()) == []
    assert not any(path.endswith("libc.so.6") and python.SITE not in path for path in tree.nodes)


def test_the_image_of_tiphys_is_known() -> None:
    assert recipes()["tiphys"].python == ["tiphys"]
