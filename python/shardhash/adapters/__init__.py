"""What lets other packages use shards."""
