"""The search engine against PostGIS, Redis and SciPy: the same stations, the same queries, one after the other."""
