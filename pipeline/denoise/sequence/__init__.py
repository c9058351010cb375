"""EXR sequences, ours and other renderers', denoised into EXR sequences."""
