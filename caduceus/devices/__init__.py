"""What real phase-change devices make of target conductances: states from published fits."""
