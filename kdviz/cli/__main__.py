"""``python -m kdviz.cli``, for launchers such as torchrun that want a module."""

import sys

from kdviz.cli import main

if __name__ == "__main__":
    sys.exit(main())
