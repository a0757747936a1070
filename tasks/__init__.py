"""How this project's flows try their stages."""
