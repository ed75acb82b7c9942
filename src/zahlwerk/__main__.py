"""`python -m zahlwerk`: the same as the `zahlwerk` command."""

from __future__ import annotations

from zahlwerk.cli.main import main

if __name__ == "__main__":
    main()
