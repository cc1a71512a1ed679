"""How the committed networks' weights were made. Never needed to run or to test the chip."""
