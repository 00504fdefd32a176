"""Runs the command line as ``python -m drctl``."""

from drctl.cli.main import main

if __name__ == "__main__":
    main()
