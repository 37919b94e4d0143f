"""``python -m depthdeploy``."""

from depthdeploy.cli.app import main

if __name__ == "__main__":
    main()
