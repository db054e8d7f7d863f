"""`python -m pipeline` is the program `pool5`."""

from pipeline.cli import main

main()
