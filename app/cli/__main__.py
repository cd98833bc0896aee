"""`python -m app.cli`: the same as `voltway`."""

from app.cli import main

main()
