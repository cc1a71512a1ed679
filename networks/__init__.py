"""Networks that ship with the library, as package data: a folder each."""
