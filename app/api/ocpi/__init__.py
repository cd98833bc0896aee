"""OCPI as a dialect: partners push their locations and the states of their EVSEs."""
