"""The blocks of `golden.reference` in compiled loops; tests prove that they give the same bits."""
