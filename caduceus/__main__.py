"""`python -m caduceus`: the command."""

from caduceus.cli.main import main

if __name__ == "__main__":
    main()
