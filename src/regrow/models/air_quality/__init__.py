"""air-quality: benzene from the other sensors of a gas multisensor device."""
