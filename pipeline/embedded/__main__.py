"""`python -m pipeline.embedded [--port N] [--parent-stdin]`: the embedded server as a process of its own."""

import argparse

from pipeline.embedded.server import serve


def main() -> None:
    """Reads the command line and serves; exit code 1 with one line on stderr if it cannot."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.embedded", description="Serves the embedded models.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--parent-stdin", action="store_true", help="end when stdin closes, as it does with the parent")
    arguments = parser.parse_args()
    serve(arguments.port, arguments.parent_stdin)


if __name__ == "__main__":
    main()
