"""The stage engine: how stages are ordered, cached, stored, resumed, gated and published."""
