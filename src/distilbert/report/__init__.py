"""What a run came to, for a person to look at: self-contained pages and the charts in them."""
