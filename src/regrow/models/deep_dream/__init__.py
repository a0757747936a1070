"""Model deep-dream: pictures in which a network sees more of what it looks for."""
