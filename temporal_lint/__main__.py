"""`python -m temporal_lint`."""

from temporal_lint.cli import main

if __name__ == "__main__":
    main()
