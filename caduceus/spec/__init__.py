"""What all sides of Caduceus agree on: formats, encodings, layouts, tables; never arithmetic."""
