"""What several models of pictures share: their data, reading pictures, and drawing them."""
