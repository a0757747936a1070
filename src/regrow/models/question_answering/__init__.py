"""Question answering: bAbI's stories, memory networks that read them, and their answers."""
