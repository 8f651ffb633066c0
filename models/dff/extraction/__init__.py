"""Hidden states and captions of video files from a frozen video language model."""
