"""`python -m tiphys`: the command line."""

from tiphys.cli.main import main

if __name__ == "__main__":
    main()
