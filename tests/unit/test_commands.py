"""Commands as they are found and read: those of other packages that can't be used do not stand in the way of ours."""

from pathlib import Path

import pytest

from headway import commands
from headway.errors import Exit

BROKEN = {
    "syntax": "this is no Python",
    "import": "import no_such_module",
    "raise": "raise RuntimeError('not today')",
    "exit": "raise SystemExit(3)",
    "none": "x = 1",
    "odd": "command = 5",
}


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Put a package with commands where Python finds it."""
    info = folder / "extras-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extras\nVersion: 1.0\n")
    lines = [f"{name} = extras_{name}" for name in modules]
    (info / "entry_points.txt").write_text("\n".join(["[headway.commands]", *lines, ""]))
    for name, text in modules.items():
        (folder / f"extras_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("way", BROKEN)
def test_a_command_that_can_not_be_imported_is_listed_with_the_reason_and_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    good = "import click\ncommand = click.Command('fine', short_help='It is fine.')\n"
    name = f"broken-{way}"
    install(tmp_path, monkeypatch, **{"fine": good})
    lines = tmp_path / "extras-1.0.dist-info" / "entry_points.txt"
    lines.write_text(f"{lines.read_text()}{name} = extras_broken_{way}\n")
    (tmp_path / f"extras_broken_{way}.py").write_text(BROKEN[way])

    assert commands.main(["--help"]) == Exit.OK
    told = capsys.readouterr().out
    assert "It is fine." in told
    assert "serve" in told
    (line,) = (line for line in told.splitlines() if line.strip().startswith(name))
    assert "can't be used" in line

    assert commands.main([name, "--anything"]) != Exit.OK
    assert f"The command '{name}' can't be used" in capsys.readouterr().err
    assert commands.main(["fine"]) == Exit.OK


def test_a_package_that_takes_a_name_of_ours_is_told_and_ours_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, monkeypatch, serve="raise SystemExit(3)")
    assert commands.main(["--help"]) == Exit.OK
    told = " ".join(capsys.readouterr().out.split())
    assert "Serve models over HTTP." in told
    assert "names a commands plugin 'serve', which is built in" in told


def test_an_unknown_command_is_still_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert commands.main(["serv"]) == Exit.USAGE
    assert "did you mean 'serve'?" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize("command", [["top", "--interval"], ["bench", "--rate"]])
def test_a_number_that_is_not_finite_is_refused(
    capsys: pytest.CaptureFixture[str], command: list[str], number: str
) -> None:
    assert commands.main([*command, number, "http://127.0.0.1:1"]) == Exit.USAGE
    assert f"Invalid value for '{command[1]}'" in capsys.readouterr().err


def test_what_init_says_to_try_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "my model"
    assert commands.main(["init", str(home)]) == Exit.OK
    assert f"cd '{home}' && headway serve" in capsys.readouterr().out
