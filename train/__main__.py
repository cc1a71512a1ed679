"""`python -m train` trains all networks: see `train.fashion`."""

from train.fashion import main

main()
