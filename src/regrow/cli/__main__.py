"""`python -m regrow.cli`, for where the script is not on the path."""

from regrow.cli import main

main()
