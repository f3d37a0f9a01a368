"""`python -m mpp`: the command `mpp` where it is not installed."""

from mpp.cli import main

if __name__ == "__main__":
    main()
