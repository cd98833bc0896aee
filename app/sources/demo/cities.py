"""The forty cities of the demo network, on all continents, with the plugs that their region uses."""

from typing import NamedTuple

from app.stations.vocabulary import ConnectorType as C


class Plugs(NamedTuple):
    """A region's usual connectors."""

    ac: C
    dc: tuple[C, ...]


EUROPE = Plugs(C.TYPE2, (C.CCS2, C.CCS2, C.CHADEMO))
NORTH_AMERICA = Plugs(C.TYPE1, (C.CCS1, C.NACS, C.CHADEMO))
CHINA = Plugs(C.GBT_AC, (C.GBT_DC,))
JAPAN = Plugs(C.TYPE1, (C.CHADEMO, C.NACS))


class City(NamedTuple):
    """A city's centre, degrees WGS 84."""

    name: str
    country: str
    longitude: float
    latitude: float
    plugs: Plugs


CITIES = (
    City("Berlin", "DE", 13.405, 52.52, EUROPE),
    City("Paris", "FR", 2.352, 48.857, EUROPE),
    City("London", "GB", -0.128, 51.507, EUROPE),
    City("Madrid", "ES", -3.704, 40.417, EUROPE),
    City("Rome", "IT", 12.496, 41.903, EUROPE),
    City("Amsterdam", "NL", 4.904, 52.368, EUROPE),
    City("Oslo", "NO", 10.752, 59.914, EUROPE),
    City("Stockholm", "SE", 18.069, 59.329, EUROPE),
    City("Warsaw", "PL", 21.012, 52.23, EUROPE),
    City("Vienna", "AT", 16.373, 48.208, EUROPE),
    City("Lisbon", "PT", -9.139, 38.722, EUROPE),
    City("Athens", "GR", 23.728, 37.984, EUROPE),
    City("Reykjavík", "IS", -21.942, 64.147, EUROPE),
    City("Istanbul", "TR", 28.978, 41.008, EUROPE),
    City("New York", "US", -74.006, 40.713, NORTH_AMERICA),
    City("San Francisco", "US", -122.419, 37.775, NORTH_AMERICA),
    City("Austin", "US", -97.743, 30.267, NORTH_AMERICA),
    City("Honolulu", "US", -157.858, 21.307, NORTH_AMERICA),
    City("Anchorage", "US", -149.9, 61.218, NORTH_AMERICA),
    City("Toronto", "CA", -79.383, 43.653, NORTH_AMERICA),
    City("Mexico City", "MX", -99.133, 19.433, NORTH_AMERICA),
    City("São Paulo", "BR", -46.633, -23.551, EUROPE),
    City("Buenos Aires", "AR", -58.382, -34.604, EUROPE),
    City("Santiago", "CL", -70.669, -33.449, EUROPE),
    City("Bogotá", "CO", -74.072, 4.711, EUROPE),
    City("Nairobi", "KE", 36.822, -1.292, EUROPE),
    City("Cape Town", "ZA", 18.424, -33.925, EUROPE),
    City("Cairo", "EG", 31.236, 30.044, EUROPE),
    City("Casablanca", "MA", -7.589, 33.573, EUROPE),
    City("Dubai", "AE", 55.271, 25.205, EUROPE),
    City("Delhi", "IN", 77.209, 28.614, EUROPE),
    City("Singapore", "SG", 103.82, 1.352, EUROPE),
    City("Bangkok", "TH", 100.502, 13.756, EUROPE),
    City("Tokyo", "JP", 139.65, 35.676, JAPAN),
    City("Seoul", "KR", 126.978, 37.567, Plugs(C.TYPE1, (C.CCS1, C.CHADEMO))),
    City("Shanghai", "CN", 121.474, 31.23, CHINA),
    City("Sydney", "AU", 151.209, -33.868, EUROPE),
    City("Auckland", "NZ", 174.763, -36.849, EUROPE),
    City("Suva", "FJ", 178.442, -18.142, EUROPE),
    City("McMurdo Station", "AQ", 166.669, -77.846, EUROPE),
)
