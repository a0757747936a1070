"""What several models of text share: sentences, words, vocabularies and vectors of words."""
