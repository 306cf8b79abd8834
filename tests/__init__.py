"""Everything that is tested about Serinus, from pure functions to whole stories on a cluster."""
