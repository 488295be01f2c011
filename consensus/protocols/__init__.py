"""One BFT protocol a file, each a pure state machine that reads beside its paper."""
