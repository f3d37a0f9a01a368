"""The command line: `main` is what the installed command `mpp` runs."""


def main() -> None:
    """Run `mpp`; ends the process. Ctrl-C ends it quietly with 130, a fault in the use of a command with 2."""
    from mpp.cli.app import app

    app()
