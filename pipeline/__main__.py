"""`python -m pool5` is the program `pool5`."""

from .cli import main

main()
