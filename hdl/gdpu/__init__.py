"""The GDPU: LSTM units, slices of them, and their registers."""
