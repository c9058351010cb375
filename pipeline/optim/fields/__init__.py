"""Neural fields to train: networks of coordinates, and the signals that they learn."""
