"""Telling receivers of changes by signed requests, so that they need not keep a stream open."""
