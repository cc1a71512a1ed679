"""Where things are in a checkout of the repository."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TEST_IMAGES = REPOSITORY / "tests" / "data" / "fashion_mnist_test20.npz"
