"""The review page: what a shot looks like, and what it cost, without a terminal."""
