"""python -m sentinel."""

from sentinel.cli import app

if __name__ == "__main__":
    app(prog_name="sentinel")
