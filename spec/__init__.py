"""What every side of Caduceus agrees on: formats, encodings, layouts and tables; never arithmetic."""
