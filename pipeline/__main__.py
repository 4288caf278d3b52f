"""`python -m pipeline` is `vlm-batch`."""

from pipeline.cli import main

main()
