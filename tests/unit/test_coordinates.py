"""Plausibility of coordinates: what is refused, and above all what is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.coordinates import (
    COUNTRY_MARGIN_KM,
    EARTH_RADIUS_KM,
    check_coordinates,
    distance_to_box_km,
)
from app.ingest.country_boxes import COUNTRY_BOXES, Box

KM_PER_DEGREE = math.radians(1) * EARTH_RADIUS_KM

CITIES = [
    ("Berlin", "DE", 13.405, 52.52),
    ("Garmisch-Partenkirchen", "DE", 11.0955, 47.4917),
    ("Paris", "FR", 2.3522, 48.8566),
    ("Ajaccio", "FR", 8.7386, 41.9192),
    ("Saint-Denis de La Réunion", "FR", 55.4504, -20.8823),
    ("Saint-Denis de La Réunion", "RE", 55.4504, -20.8823),
    ("Mamoudzou", "FR", 45.2279, -12.7806),
    ("Mamoudzou", "YT", 45.2279, -12.7806),
    ("Pointe-à-Pitre", "FR", -61.5331, 16.2411),
    ("Pointe-à-Pitre", "GP", -61.5331, 16.2411),
    ("Fort-de-France", "FR", -61.0742, 14.6161),
    ("Fort-de-France", "MQ", -61.0742, 14.6161),
    ("Cayenne", "FR", -52.3135, 4.9224),
    ("Cayenne", "GF", -52.3135, 4.9224),
    ("Papeete", "PF", -149.5585, -17.5516),
    ("Papeete", "FR", -149.5585, -17.5516),
    ("Nouméa", "NC", 166.4572, -22.2758),
    ("Madrid", "ES", -3.7038, 40.4168),
    ("Las Palmas", "ES", -15.4134, 28.0997),
    ("Palma", "ES", 2.6502, 39.5696),
    ("Ceuta", "ES", -5.3163, 35.8894),
    ("Lisbon", "PT", -9.1393, 38.7223),
    ("Funchal", "PT", -16.9241, 32.6669),
    ("Ponta Delgada", "PT", -25.6756, 37.7412),
    ("Oslo", "NO", 10.7522, 59.9139),
    ("Longyearbyen", "NO", 15.6356, 78.2232),
    ("Longyearbyen", "SJ", 15.6356, 78.2232),
    ("Kirkenes", "NO", 30.0450, 69.7271),
    ("Stockholm", "SE", 18.0686, 59.3293),
    ("Helsinki", "FI", 24.9384, 60.1699),
    ("Mariehamn", "AX", 19.9348, 60.0973),
    ("Tórshavn", "FO", -6.7719, 62.0107),
    ("Nuuk", "GL", -51.7214, 64.1814),
    ("Reykjavík", "IS", -21.9426, 64.1466),
    ("London", "GB", -0.1276, 51.5072),
    ("Greenwich", "GB", 0.0, 51.4779),
    ("Lerwick", "GB", -1.1448, 60.1530),
    ("Saint Helier", "JE", -2.1032, 49.1868),
    ("Gibraltar", "GI", -5.3536, 36.1408),
    ("Amsterdam", "NL", 4.9041, 52.3676),
    ("Kralendijk", "NL", -68.2655, 12.1443),
    ("Kralendijk", "BQ", -68.2655, 12.1443),
    ("Vaduz", "LI", 9.5209, 47.1410),
    ("Vatican", "VA", 12.4534, 41.9029),
    ("Valletta", "MT", 14.5146, 35.8989),
    ("Nicosia north", "CY", 33.3600, 35.1900),
    ("Pristina", "XK", 21.1655, 42.6629),
    ("Pristina", "RS", 21.1655, 42.6629),
    ("Kyiv", "UA", 30.5234, 50.4501),
    ("Sevastopol", "UA", 33.5224, 44.6167),
    ("Moscow", "RU", 37.6173, 55.7558),
    ("Kaliningrad", "RU", 20.4522, 54.7104),
    ("Vladivostok", "RU", 131.8869, 43.1155),
    ("Uelen", "RU", -169.8100, 66.1600),
    ("Washington", "US", -77.0369, 38.9072),
    ("Anchorage", "US", -149.9003, 61.2181),
    ("Adak", "US", -176.6581, 51.8800),
    ("Attu", "US", 173.1800, 52.8400),
    ("Honolulu", "US", -157.8583, 21.3069),
    ("San Juan", "US", -66.1057, 18.4655),
    ("San Juan", "PR", -66.1057, 18.4655),
    ("Ottawa", "CA", -75.6972, 45.4215),
    ("Mexico City", "MX", -99.1332, 19.4326),
    ("Brasília", "BR", -47.8825, -15.7942),
    ("Santiago", "CL", -70.6693, -33.4489),
    ("Punta Arenas", "CL", -70.9171, -53.1638),
    ("Hanga Roa", "CL", -109.4333, -27.1500),
    ("Puerto Ayora", "EC", -90.3130, -0.7432),
    ("Quito", "EC", -78.4678, -0.1807),
    ("Suva", "FJ", 178.4419, -18.1416),
    ("Taveuni, across the antimeridian", "FJ", -179.9700, -16.8000),
    ("Tarawa", "KI", 172.9790, 1.3290),
    ("Kiritimati", "KI", -157.4000, 1.8700),
    ("Auckland", "NZ", 174.7633, -36.8485),
    ("Wellington", "NZ", 174.7762, -41.2866),
    ("Waitangi, Chatham", "NZ", -176.5597, -43.9535),
    ("Canberra", "AU", 149.1300, -35.2809),
    ("Hobart", "AU", 147.3272, -42.8821),
    ("Flying Fish Cove", "CX", 105.6790, -10.4217),
    ("Hong Kong", "HK", 114.1694, 22.3193),
    ("Macao", "MO", 113.5439, 22.1987),
    ("Beijing", "CN", 116.4074, 39.9042),
    ("Taipei", "TW", 121.5654, 25.0330),
    ("Tokyo", "JP", 139.6917, 35.6895),
    ("Naha", "JP", 127.6792, 26.2124),
    ("Singapore", "SG", 103.8198, 1.3521),
    ("Kuala Lumpur", "MY", 101.6869, 3.1390),
    ("Delhi", "IN", 77.2090, 28.6139),
    ("Port Blair", "IN", 92.7265, 11.6234),
    ("Cape Town", "ZA", 18.4241, -33.9249),
    ("Nairobi", "KE", 36.8219, -1.2921),
    ("Tema, on the meridian", "GH", 0.0, 5.67),
    ("Hargeisa", "SO", 44.0650, 9.5600),
    ("McMurdo", "AQ", 166.6863, -77.8419),
]


@pytest.mark.parametrize(("name", "country", "longitude", "latitude"), CITIES)
def test_cities_lie_in_their_country(name: str, country: str, longitude: float, latitude: float) -> None:
    assert any(distance_to_box_km(longitude, latitude, box) == 0 for box in COUNTRY_BOXES[country]), name
    assert check_coordinates(longitude, latitude, country) is None
    assert check_coordinates(longitude, latitude, None) is None


def reason(longitude: float, latitude: float, country: str | None = None) -> str | None:
    fault = check_coordinates(longitude, latitude, country)
    return fault.reason if fault else None


@pytest.mark.parametrize("country", [None, "DE", "GH", "??"])
def test_zero_and_its_neighbourhood_are_no_place(country: str | None) -> None:
    assert reason(0.0, 0.0, country) == "coordinates_zero"
    assert reason(-0.0, 0.0001, country) == "coordinates_zero"
    assert reason(0.099, -0.099, country) == "coordinates_zero"


def test_zero_in_one_coordinate_is_an_ordinary_place() -> None:
    assert reason(0.0, 51.4779, "GB") is None
    assert reason(36.0, 0.0, "KE") is None
    assert reason(0.1, 0.05) is None
    assert reason(180.0, -16.5, "FJ") is None
    assert reason(-180.0, 71.0, "RU") is None
    assert reason(0.0, 90.0) is None


@pytest.mark.parametrize("value", [1.0, 45.0, 48.137154, -12.5])
def test_equal_coordinates_are_one_number_typed_twice(value: float) -> None:
    assert reason(value, value) == "coordinates_equal"
    assert reason(value, value, "DE") == "coordinates_equal"
    assert reason(value, -value) is None


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [(180.1, 0.5), (-181.0, 0.5), (13.4, 90.01), (13.4, -91.0), (math.nan, 52.0), (13.0, math.nan), (math.inf, 1.0)],
)
def test_there_is_nothing_outside_the_ranges(longitude: float, latitude: float) -> None:
    assert reason(longitude, latitude) == "coordinates_out_of_range"
    assert reason(longitude, latitude, "DE") == "coordinates_out_of_range"


def test_swapped_coordinates_are_recognised() -> None:
    fault = check_coordinates(52.52, 13.405, "DE")
    assert fault is not None
    assert fault.reason == "coordinates_swapped"
    assert "52.52" in fault.why
    assert "DE" in fault.why
    assert fault.fix == "Exchange longitude and latitude."
    assert reason(38.9072, -77.0369, "US") == "coordinates_swapped"
    assert reason(61.2, -149.9, "US") == "coordinates_swapped", "also where the latitude does not exist"


def test_without_a_known_country_only_the_numbers_themselves_are_checked() -> None:
    assert reason(52.52, 13.405) is None
    assert reason(52.52, 13.405, "ZZ") is None
    assert reason(52.52, 13.405, "") is None


def test_a_point_in_another_country_is_outside() -> None:
    fault = check_coordinates(-3.7038, 40.4168, "DE")
    assert fault is not None
    assert fault.reason == "coordinates_outside_country"
    assert "outside DE" in fault.why
    assert reason(77.0369, 38.9072, "US") == "coordinates_outside_country", "the sign is missing"


def test_fifty_kilometres_beyond_the_border_are_tolerated() -> None:
    north = max(box[3] for box in COUNTRY_BOXES["IS"])
    near, far = (north + km / KM_PER_DEGREE for km in (COUNTRY_MARGIN_KM - 0.01, COUNTRY_MARGIN_KM + 0.01))
    assert reason(-18.0, near, "IS") is None
    assert reason(-18.0, far, "IS") == "coordinates_outside_country"
    east = max(box[2] for box in COUNTRY_BOXES["IS"])
    degree_km = KM_PER_DEGREE * math.cos(math.radians(65))
    assert reason(east + 49 / degree_km, 65.0, "IS") is None
    assert reason(east + 51 / degree_km, 65.0, "IS") == "coordinates_outside_country"


def test_the_margin_reaches_across_the_antimeridian() -> None:
    box = (179.5, -17.0, 180.0, -16.0)
    assert distance_to_box_km(-179.9, -16.5, box) == pytest.approx(
        0.1 * KM_PER_DEGREE * math.cos(math.radians(16.5)), rel=1e-6
    )
    assert distance_to_box_km(-180.0, -16.5, box) == pytest.approx(0, abs=1e-6)


def test_over_the_pole_is_near() -> None:
    assert distance_to_box_km(180.0, 89.0, (-1.0, 60.0, 1.0, 89.5)) == pytest.approx(1.5 * KM_PER_DEGREE, rel=1e-3)


def test_every_code_has_sound_boxes() -> None:
    assert len(COUNTRY_BOXES) == 249 + 1
    for code, boxes in COUNTRY_BOXES.items():
        assert len(code) == 2
        assert code.isupper()
        assert 1 <= len(boxes) <= 12
        for west, south, east, north in boxes:
            assert -180 <= west < east <= 180, code
            assert -90 <= south < north <= 90, code


longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)
countries = st.sampled_from(sorted(COUNTRY_BOXES))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    west, east = sorted(draw(st.tuples(longitudes, longitudes)))
    south, north = sorted(draw(st.tuples(latitudes, latitudes)))
    return west, south, east, north


def border(box: Box, steps: int = 400) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    west, south, east, north = box
    lon, lat = np.linspace(west, east, steps), np.linspace(south, north, steps)
    sides = [(lon, np.full(steps, south)), (lon, np.full(steps, north)), (np.full(steps, west), lat),
             (np.full(steps, east), lat)]  # fmt: skip
    return np.concatenate([np.column_stack(side) for side in sides])


def brute_force_km(longitude: float, latitude: float, box: Box) -> float:
    lon, lat = np.radians(border(box)).T
    vectors = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    phi, lam = math.radians(latitude), math.radians(longitude)
    point = np.array([math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)])
    chord = np.linalg.norm(vectors - point, axis=1).min()
    return float(2 * EARTH_RADIUS_KM * math.asin(min(1.0, chord / 2)))


@given(longitudes, latitudes, boxes())
def test_distance_agrees_with_brute_force(longitude: float, latitude: float, box: Box) -> None:
    west, south, east, north = box
    distance = distance_to_box_km(longitude, latitude, box)
    if west <= longitude <= east and south <= latitude <= north:
        assert distance == 0
        return
    sampled = brute_force_km(longitude, latitude, box)
    half_step_km = max(east - west, north - south) / 399 / 2 * KM_PER_DEGREE
    assert distance <= sampled + 1e-3
    assert sampled <= distance + half_step_km + 1e-3


@given(longitudes, latitudes, boxes())
def test_distance_is_the_same_in_the_mirror(longitude: float, latitude: float, box: Box) -> None:
    west, south, east, north = box
    distance = distance_to_box_km(longitude, latitude, box)
    assert distance_to_box_km(longitude, -latitude, (west, -north, east, -south)) == pytest.approx(distance, abs=1e-3)
    assert distance_to_box_km(-longitude, latitude, (-east, south, -west, north)) == pytest.approx(distance, abs=1e-3)


@given(countries, st.data())
def test_any_point_inside_a_box_is_accepted(country: str, data: st.DataObject) -> None:
    west, south, east, north = data.draw(st.sampled_from(COUNTRY_BOXES[country]))
    longitude, latitude = data.draw(st.floats(west, east)), data.draw(st.floats(south, north))
    assert reason(longitude, latitude, country) in {None, "coordinates_equal"}


@given(longitudes, latitudes, countries)
def test_a_refusal_for_the_country_is_always_far_away(longitude: float, latitude: float, country: str) -> None:
    if reason(longitude, latitude, country) in {"coordinates_outside_country", "coordinates_swapped"}:
        assert all(brute_force_km(longitude, latitude, box) > COUNTRY_MARGIN_KM for box in COUNTRY_BOXES[country])
