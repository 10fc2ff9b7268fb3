"""What runners' images are: where they come from, what they are made of, which one is used."""
