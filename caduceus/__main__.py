"""`python -m caduceus`: the command."""

from caduceus.cli.entry import main

if __name__ == "__main__":
    main()
