"""`supervisor-cli top`: the fleet as it is, on one screen that stays current."""
