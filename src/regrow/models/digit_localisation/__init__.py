"""Which digit a picture shows and where it is: one network, two outputs."""
