"""The command line of Caduceus and its reports."""
