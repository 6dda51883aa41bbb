"""Eyes: log lines and counters. Not here: what is decided from them."""
