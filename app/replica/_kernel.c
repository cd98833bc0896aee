/* The nearest stations that match, exactly: a k-d tree over points on the unit sphere.

   The tree is nothing but an order of the points. Of a range of them the middle one splits: along one axis, those
   before it are not greater, those after it not less. Ranges of up to LEAF points are not split. In three dimensions
   the antimeridian and the poles are places like any other, and the straight line (the chord) between two points grows
   with the distance over ground.

   Each point has traits, sets of bits; of each range that is split the union is kept, so that what is rare is found
   without looking at all that is common.

   All arrays belong to the caller; columns.py says what they mean. */

#define _GNU_SOURCE /* memmem */
#define Py_LIMITED_API 0x030b0000 /* no "#" in formats: versions differ in what it needs */
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LEAF 16
#define MARGIN 1e-14 /* added to squared chords: rounding never loses a point; the distance is looked at afterwards */
#define EARTH_RADIUS_MM 6371008800.0
#define ANY (-2) /* this column is not asked for */
#define CODES 4
#define TRAITS 3
#define AVAILABLE 0 /* the code of the word */

typedef struct {
    double at[3];
    int64_t row;
} Point; /* while a tree is built; later the rows themselves are in its order */

typedef struct {
    int64_t mm, id, row;
    double chord2; /* squared chord from the origin */
} Found;

typedef struct {
    uint64_t words[TRAITS]; /* see traits.py */
} Traits;

/* What a search looks at. */
typedef struct {
    double at[3];
    Traits traits;
    int64_t id;
    uint8_t status;
    uint8_t axis; /* by the middle of a range */
} Station;

/* What an answer is written from. `text_start` says where the texts begin: fixed, live, searched. */
typedef struct {
    int64_t text_start;
    uint64_t version;
    int64_t updated_us, first_evse, first_connector;
    int32_t connector_count, free_count, fixed_size, live_size, searched_size;
} Written;

/* One entry a row, an EVSE or a connector, or bytes. In the order of `Columns.buffers`. */
typedef struct {
    const Station *station;
    const Written *written;
    const uint8_t *present;
    const double *position; /* longitude, latitude in degrees */
    const int32_t *code[CODES];
    Traits *below;        /* by the middle of a range: the traits of all its points together; */
    const double *spread; /* the longest chord from it to any of them; */
    int32_t *gone;        /* how many of them are not present any more */
    const uint8_t *word; /* of each EVSE: its state in the words for stations */
    const uint8_t *type;
    const int32_t *power_w, *evse; /* the latter from the station's first on */
    const uint8_t *begins;         /* whether the connector is the first of its group */
    const char *text;
} Columns;
#define COLUMNS (sizeof(Columns) / sizeof(void *))
#define BELOW (4 + CODES)
#define GONE (BELOW + 2)

typedef struct {
    Py_buffer held[COLUMNS];
    Columns columns;
    int64_t rows, indexed; /* the first rows are in the order of a tree */
} View;

/* As compiled.py packs it. */
typedef struct {
    double origin[3];
    int64_t radius_mm; /* negative: none */
    int64_t skip, limit;
    int64_t texts; /* so many may be searched */
    int64_t counted; /* where more are within the radius, they are not counted */
    int64_t total; /* how many match, where that is known; negative: to be counted */
    int64_t by_id; /* in that order, whatever the distance; the radius then only says where to look */
    double west, south, east, north;
    uint64_t types; /* of which a connector must be one, a bit each from the lowest; 0: whatever it is */
    Traits any_of;  /* each of these words, unless it is empty, must meet the point's */
    Traits enough;  /* a bit of these tells that a connector has what is asked for */
    int32_t has_box, status, min_power_w;
    int32_t code[CODES];
    int32_t unused;
    const char *text; /* from here on not packed */
    Py_ssize_t text_size; /* 0: none */
    const int32_t *rows;  /* that alone can match, of those in the tree; NULL: any */
    int64_t row_count;
} Query;

typedef struct {
    const View *view;
    const Columns *columns;
    const Query *query;
    Found *heap; /* the k best so far; the worst of them first */
    int64_t size, k, total;
    int64_t texts; /* searched so far */
    double surely_inside, reach; /* squared chords: of the radius, less the margin; of what must still be looked at */
    double worst;                /* squared chord beyond which nothing gets into the heap */
    int is_counted;              /* whether all are looked at, not only the nearest */
    int has_words;               /* whether some are asked for */
    int takes_all;               /* whether there is no filter */
} Search;

/* ---- filters ---- */

static int in_box(const Query *q, const double *position) {
    double longitude = position[0], latitude = position[1];
    if (latitude < q->south || latitude > q->north) return 0;
    if (fabs(longitude) == 180 && (fabs(q->west) == 180 || fabs(q->east) == 180)) return 1; /* one meridian */
    if (q->west <= q->east) return longitude >= q->west && longitude <= q->east;
    return longitude >= q->west || longitude <= q->east;
}

/* Whether one connector meets all that is asked of type, power and its EVSE's status. */
static int has_connector(const Columns *c, const Query *q, int64_t row) {
    uint64_t types = q->types;
    if (!types && q->min_power_w == ANY && q->status == ANY) return 1;
    for (int n = 0; n < TRAITS; n++)
        if (q->enough.words[n] & c->station[row].traits.words[n]) return 1;
    for (int64_t n = c->written[row].first_connector, end = n + c->written[row].connector_count; n < end; n++) {
        if (types && (c->type[n] > 63 || !(types >> c->type[n] & 1))) continue;
        if (q->min_power_w != ANY && c->power_w[n] < q->min_power_w) continue;
        if (q->status != ANY && c->word[c->written[row].first_evse + c->evse[n]] != q->status) continue;
        return 1;
    }
    return 0;
}

static int has_text(const Columns *c, const Query *q, int64_t row) {
    const Written *w = c->written + row;
    const char *searched = c->text + w->text_start + w->fixed_size + w->live_size;
    return memmem(searched, (size_t)w->searched_size, q->text, (size_t)q->text_size) != NULL;
}

static int has_words(const Columns *c, const Query *q, int64_t row) {
    for (int n = 0; n < CODES; n++)
        if (q->code[n] != ANY && c->code[n][row] != q->code[n]) return 0;
    return 1;
}

/* Whether it has all that is asked for, but for the words. */
static int matches(Search *s, int64_t row) {
    const Columns *c = s->columns;
    const Query *q = s->query;
    if (!c->present[row]) return 0;
    if (q->status != ANY && c->station[row].status != q->status) return 0;
    if (q->has_box && !in_box(q, c->position + 2 * row)) return 0;
    if (!has_connector(c, q, row)) return 0;
    return !q->text_size || (s->texts++ < q->texts && has_text(c, q, row));
}

/* ---- the heap ---- */

static int is_after(Found a, Found b) { return a.mm != b.mm ? a.mm > b.mm : a.id > b.id; }

static void sift_up(Found *heap, int64_t n) {
    Found moving = heap[n];
    for (int64_t parent; n > 0 && is_after(moving, heap[parent = (n - 1) / 2]); n = parent) heap[n] = heap[parent];
    heap[n] = moving;
}

static void sift_down(Found *heap, int64_t size) {
    Found moving = heap[0];
    int64_t n = 0;
    for (int64_t child; (child = 2 * n + 1) < size; n = child) {
        if (child + 1 < size && is_after(heap[child + 1], heap[child])) child++;
        if (!is_after(heap[child], moving)) break;
        heap[n] = heap[child];
    }
    heap[n] = moving;
}

/* Leave the heap in order. */
static void sort(Found *heap, int64_t size) {
    while (--size > 0) {
        Found last = heap[size];
        heap[size] = heap[0];
        heap[0] = last;
        sift_down(heap, size);
    }
}

/* Squared chord that no point is beyond which is as near as so many millimetres and a half. */
static double chord2_of(int64_t mm) {
    double angle = fmin(((double)mm + 0.5) / EARTH_RADIUS_MM, M_PI);
    double chord = 2 * sin(angle / 2);
    return chord * chord + MARGIN;
}

static void keep(Search *s, Found found) {
    if (s->size < s->k) {
        s->heap[s->size] = found;
        sift_up(s->heap, s->size++);
    } else if (s->k && is_after(s->heap[0], found)) {
        s->heap[0] = found;
        sift_down(s->heap, s->size);
    } else {
        return;
    }
    if (s->size == s->k && s->k && !s->query->by_id) {
        double chord = sqrt(s->heap[0].chord2) + 1 / EARTH_RADIUS_MM; /* none beyond has as few millimetres */
        s->worst = chord * chord + MARGIN;
        if (!s->is_counted) s->reach = s->worst;
    }
}

static void count(Search *s, int64_t number) {
    if ((s->total += number) <= s->query->counted || s->query->by_id || !s->is_counted) return;
    s->is_counted = 0;
    if (!s->k) s->reach = -1;
    else if (s->worst < s->reach) s->reach = s->worst;
}

/* ---- the search ---- */

/* The angle is atan2(|a x b|, a . b): arcsine and arccosine lose half the digits at one end. */
static int64_t distance_mm(const double *a, const double *b) {
    double x = a[1] * b[2] - a[2] * b[1], y = a[2] * b[0] - a[0] * b[2], z = a[0] * b[1] - a[1] * b[0];
    double angle = atan2(sqrt(x * x + y * y + z * z), a[0] * b[0] + a[1] * b[1] + a[2] * b[2]);
    return llrint(angle * EARTH_RADIUS_MM);
}

static int may_match(const Query *q, const Traits *traits) {
    for (int n = 0; n < TRAITS; n++)
        if (q->any_of.words[n] && !(q->any_of.words[n] & traits->words[n])) return 0;
    return 1;
}

static double chord2_between(const double *a, const double *b) {
    double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
    return x * x + y * y + z * z;
}

static void consider(Search *s, int64_t row) {
    const Query *q = s->query;
    const Columns *c = s->columns;
    if (s->has_words && !has_words(c, q, row)) return; /* first, as these columns are narrow */
    if (!may_match(q, &c->station[row].traits)) return;
    const double *at = c->station[row].at;
    double chord2 = chord2_between(at, q->origin);
    if (chord2 > s->reach || !matches(s, row)) return;
    if (q->by_id) {
        count(s, 1);
        keep(s, (Found){-1, c->station[row].id, row, chord2});
        return;
    }
    if (chord2 > s->worst && chord2 < s->surely_inside) {
        count(s, 1);
        return;
    }
    int64_t mm = distance_mm(at, q->origin);
    if (q->radius_mm >= 0 && mm > q->radius_mm) return;
    count(s, 1);
    keep(s, (Found){mm, c->station[row].id, row, chord2});
}

/* Count a range in which all points are within the radius, and none is as near as those of the page. */
static int counted_whole(Search *s, int64_t begin, int64_t end, int64_t middle) {
    double chord = sqrt(chord2_between(s->columns->station[middle].at, s->query->origin));
    double spread = s->columns->spread[middle];
    double nearest = chord - spread, farthest = chord + spread;
    if (farthest * farthest >= s->surely_inside || nearest < 0 || nearest * nearest - MARGIN <= s->worst) return 0;
    count(s, end - begin - s->columns->gone[middle]);
    return 1;
}

/* `chord2` is a lower bound of the range's points: the squared distance to their half-spaces, by axis in `beyond`. */
static void visit(Search *s, int64_t begin, int64_t end, const double beyond[3], double chord2) {
    const Columns *c = s->columns;
    double outside[3] = {beyond[0], beyond[1], beyond[2]};
    while (end - begin > LEAF) {
        int64_t middle = begin + (end - begin) / 2;
        if (!may_match(s->query, c->below + middle) || s->texts > s->query->texts) return;
        if (s->takes_all && counted_whole(s, begin, end, middle)) return;
        int axis = c->station[middle].axis;
        double past = s->query->origin[axis] - c->station[middle].at[axis];
        int is_after_middle = past > 0;
        visit(s, is_after_middle ? middle + 1 : begin, is_after_middle ? end : middle, outside, chord2);
        consider(s, middle);
        chord2 += past * past - outside[axis] * outside[axis];
        outside[axis] = past;
        if (chord2 - MARGIN > s->reach) return;
        if (is_after_middle) end = middle;
        else begin = middle + 1;
    }
    for (; begin < end; begin++) consider(s, begin);
}

/* ---- building ---- */

static void swap(Point *a, Point *b) {
    Point kept = *a;
    *a = *b;
    *b = kept;
}

/* Bring the point to `middle` that would be there were the range sorted, the lesser ones before it. */
static void select_middle(Point *tree, int64_t begin, int64_t end, int64_t middle, int axis) {
    int64_t low = begin, high = end - 1;
    while (low < high) {
        double pivot = tree[low + (high - low) / 2].at[axis];
        int64_t i = low, j = high;
        while (i <= j) {
            while (tree[i].at[axis] < pivot) i++;
            while (tree[j].at[axis] > pivot) j--;
            if (i <= j) swap(tree + i++, tree + j--);
        }
        if (middle <= j) high = j;
        else if (middle >= i) low = i;
        else return;
    }
}

static int widest_axis(const Point *tree, int64_t begin, int64_t end) {
    int widest = 0;
    double width = -1;
    for (int axis = 0; axis < 3; axis++) {
        double least = INFINITY, greatest = -INFINITY;
        for (int64_t n = begin; n < end; n++) {
            least = fmin(least, tree[n].at[axis]);
            greatest = fmax(greatest, tree[n].at[axis]);
        }
        if (greatest - least > width) {
            width = greatest - least;
            widest = axis;
        }
    }
    return widest;
}

static void split(Point *tree, uint8_t *axes, int64_t begin, int64_t end) {
    while (end - begin > LEAF) {
        int64_t middle = begin + (end - begin) / 2;
        axes[middle] = (uint8_t)widest_axis(tree, begin, end);
        select_middle(tree, begin, end, middle, axes[middle]);
        split(tree, axes, begin, middle);
        begin = middle + 1;
    }
}

static Traits both(Traits one, Traits other) {
    for (int n = 0; n < TRAITS; n++) one.words[n] |= other.words[n];
    return one;
}

static double spread_of(const Station *stations, int64_t begin, int64_t end, int64_t middle) {
    double longest2 = 0;
    for (int64_t n = begin; n < end; n++)
        longest2 = fmax(longest2, chord2_between(stations[n].at, stations[middle].at));
    return sqrt(longest2);
}

static void spread_out(const Station *stations, double *spread, int64_t begin, int64_t end) {
    while (end - begin > LEAF) {
        int64_t middle = begin + (end - begin) / 2;
        spread[middle] = spread_of(stations, begin, end, middle);
        spread_out(stations, spread, begin, middle);
        begin = middle + 1;
    }
}

static Traits unite(const Station *stations, Traits *below, int64_t begin, int64_t end) {
    Traits all = {{0}};
    if (end - begin <= LEAF) {
        for (; begin < end; begin++) all = both(all, stations[begin].traits);
        return all;
    }
    int64_t middle = begin + (end - begin) / 2;
    all = both(unite(stations, below, begin, middle), unite(stations, below, middle + 1, end));
    return below[middle] = both(all, stations[middle].traits);
}

static Traits united(const Columns *c, int64_t begin, int64_t end) {
    return end - begin > LEAF ? c->below[begin + (end - begin) / 2] : unite(c->station, NULL, begin, end);
}

/* The same where only the row's traits are others than before; returns whether that changes the whole range's. */
static int unite_again(const Columns *c, int64_t begin, int64_t end, int64_t row) {
    if (end - begin <= LEAF) return 1;
    int64_t middle = begin + (end - begin) / 2;
    if (row < middle && !unite_again(c, begin, middle, row)) return 0;
    if (row > middle && !unite_again(c, middle + 1, end, row)) return 0;
    Traits all = both(c->station[middle].traits, both(united(c, begin, middle), united(c, middle + 1, end)));
    if (!memcmp(&all, c->below + middle, sizeof all)) return 0;
    c->below[middle] = all;
    return 1;
}

/* ---- for Python ---- */

/* build(points, axes): put the points in the order of a tree. */
static PyObject *build(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer points, axes;
    if (!PyArg_ParseTuple(args, "w*w*", &points, &axes)) return NULL;
    int64_t size = points.len / (int64_t)sizeof(Point);
    int fits = axes.len == size;
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        split(points.buf, axes.buf, 0, size);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&points);
    PyBuffer_Release(&axes);
    if (!fits) return PyErr_Format(PyExc_ValueError, "a tree has as many axes as points");
    Py_RETURN_NONE;
}

/* summarise(stations, below, spread): of each range of the tree. */
static PyObject *summarise(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer stations, below, spread;
    if (!PyArg_ParseTuple(args, "y*w*w*", &stations, &below, &spread)) return NULL;
    int64_t size = stations.len / (int64_t)sizeof(Station);
    int fits = below.len == size * (int64_t)sizeof(Traits) && spread.len == size * (int64_t)sizeof(double);
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        unite(stations.buf, below.buf, 0, size);
        spread_out(stations.buf, spread.buf, 0, size);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&stations);
    PyBuffer_Release(&below);
    PyBuffer_Release(&spread);
    if (!fits) return PyErr_Format(PyExc_ValueError, "a tree has as many summaries as points");
    Py_RETURN_NONE;
}

/* hold(columns, indexed): what the other functions ask for. The first `indexed` rows are in the order of a tree. */
static void let_go(PyObject *capsule) {
    View *view = PyCapsule_GetPointer(capsule, NULL);
    for (size_t n = 0; n < COLUMNS; n++) PyBuffer_Release(view->held + n);
    free(view);
}

static PyObject *hold(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *columns, *capsule = NULL;
    long long indexed;
    if (!PyArg_ParseTuple(args, "O!L", &PyTuple_Type, &columns, &indexed)) return NULL;
    if (PyTuple_Size(columns) != (Py_ssize_t)COLUMNS)
        return PyErr_Format(PyExc_ValueError, "not the columns that this kernel was made for");
    View *view = calloc(1, sizeof(View));
    if (!view) return PyErr_NoMemory();
    size_t held = 0;
    const void *start[COLUMNS];
    for (; held < COLUMNS; held++) {
        int how = held == BELOW || held == GONE ? PyBUF_WRITABLE : PyBUF_SIMPLE;
        if (PyObject_GetBuffer(PyTuple_GetItem(columns, (Py_ssize_t)held), view->held + held, how)) break;
        start[held] = view->held[held].buf;
    }
    if (held == COLUMNS) {
        memcpy(&view->columns, start, sizeof start);
        view->rows = view->held[0].len / (int64_t)sizeof(Station);
        view->indexed = indexed;
        capsule = PyCapsule_New(view, NULL, let_go);
    }
    if (!capsule) {
        while (held > 0) PyBuffer_Release(view->held + --held);
        free(view);
    }
    return capsule;
}

/* Let `change` go to those of the rows, as int64, that are in the tree. */
static PyObject *for_rows(PyObject *args, void (*change)(const View *, int64_t)) {
    PyObject *capsule;
    Py_buffer rows;
    if (!PyArg_ParseTuple(args, "Oy*", &capsule, &rows)) return NULL;
    const View *view = PyCapsule_GetPointer(capsule, NULL);
    const int64_t *row = rows.buf, *end = row + rows.len / (int64_t)sizeof(int64_t);
    for (; view && row < end; row++)
        if (*row < view->indexed) change(view, *row);
    PyBuffer_Release(&rows);
    if (!view) return NULL;
    Py_RETURN_NONE;
}

static void restate_row(const View *view, int64_t row) { unite_again(&view->columns, 0, view->indexed, row); }

static void forget_row(const View *view, int64_t row) {
    for (int64_t begin = 0, end = view->indexed; end - begin > LEAF;) {
        int64_t middle = begin + (end - begin) / 2;
        view->columns.gone[middle]++;
        if (row == middle) return;
        if (row < middle) end = middle;
        else begin = middle + 1;
    }
}

/* restate(view, rows): the traits of these rows have changed. */
static PyObject *restate(PyObject *self, PyObject *args) {
    (void)self;
    return for_rows(args, restate_row);
}

/* forget(view, rows): these rows are not present any more. */
static PyObject *forget(PyObject *self, PyObject *args) {
    (void)self;
    return for_rows(args, forget_row);
}

/* ---- writing ---- */

/* In the order of `StationStatus`. */
static const char *WORDS[] = {"\"available\"", "\"occupied\"", "\"maintenance\"", "\"unknown\""};
static const char DISTANCE[] = ",\"distance_km\":";
#define FRACTION_DIGITS 6
#define LONGEST_SLOT 32 /* bytes that one of them may become */
#define LONGEST_ENDING 64
#define CACHE_LINE 64

static char *write_text(char *to, const char *text) {
    size_t size = strlen(text);
    memcpy(to, text, size);
    return to + size;
}

/* With at least so many digits. */
static char *write_number(char *to, int64_t number, int digits) {
    char reversed[24];
    int size = 0;
    do reversed[size++] = (char)('0' + number % 10);
    while ((number /= 10) || size < digits);
    while (size) *to++ = reversed[--size];
    return to;
}

/* The distance in kilometres, unless it is negative, and the end of the object. */
static char *write_ending(char *to, int64_t mm) {
    if (mm >= 0) {
        to = write_number(write_text(to, DISTANCE), mm / 1000000, 1);
        *to++ = '.';
        to = write_number(to, mm % 1000000, FRACTION_DIGITS);
    }
    *to++ = '}';
    return to;
}

/* An instant of RFC 3339 in UTC, from microseconds since 1970. Days to dates: Hinnant, "chrono-Compatible Low-Level
   Date Algorithms", civil_from_days. */
static char *write_instant(char *to, int64_t us) {
    int64_t day_us = 86400000000, days = us / day_us - (us % day_us < 0), rest = us - days * day_us;
    int64_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100), month = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    *to++ = '"';
    to = write_number(to, year_of_era + era * 400 + (month <= 2), 4);
    *to++ = '-';
    to = write_number(to, month, 2);
    *to++ = '-';
    to = write_number(to, day, 2);
    *to++ = 'T';
    to = write_number(to, rest / 3600000000, 2);
    *to++ = ':';
    to = write_number(to, rest / 60000000 % 60, 2);
    *to++ = ':';
    to = write_number(to, rest / 1000000 % 60, 2);
    if (rest % 1000000) {
        *to++ = '.';
        to = write_number(to, rest % 1000000, 6);
    }
    *to++ = 'Z';
    *to++ = '"';
    return to;
}

/* How many connectors of the group that begins at `*next` are free; moves on to the next group. */
static int64_t free_in_group(const Columns *c, int64_t row, int64_t *next) {
    const Written *w = c->written + row;
    int64_t end = w->first_connector + w->connector_count, count = 0;
    do count += c->word[w->first_evse + c->evse[*next]] == AVAILABLE;
    while (++*next < end && !c->begins[*next]);
    return count;
}

/* A station's object: its fixed part, then the live part with its slots filled (app/replica/slots.py). */
static char *write_station(char *to, const Columns *c, Found found) {
    const Written *w = c->written + found.row;
    int64_t group = w->first_connector;
    const char *fixed = c->text + w->text_start, *live = fixed + w->fixed_size, *end = live + w->live_size;
    memcpy(to, fixed, (size_t)w->fixed_size);
    to += w->fixed_size;
    while (live < end) {
        size_t length = (size_t)(uint8_t)live[0] + ((size_t)(uint8_t)live[1] << 8);
        memcpy(to, live + 2, length);
        to += length;
        live += 2 + length;
        switch (*live++) {
        case 1: to = write_text(to, WORDS[c->station[found.row].status]); break;
        case 2: to = write_number(to, w->free_count, 1); break;
        case 3: to = w->updated_us == INT64_MIN ? write_text(to, "null") : write_instant(to, w->updated_us); break;
        case 4: to = write_number(to, free_in_group(c, found.row, &group), 1);
        }
    }
    return write_ending(to, found.mm);
}

/* A JSON array of the stations. */
static PyObject *written(const Columns *c, const Found *found, int64_t count) {
    size_t most = 2;
    for (int64_t n = 0; n < count; n++) {
        const Written *w = c->written + found[n].row;
        for (int at = 0; at < w->fixed_size + w->live_size; at += CACHE_LINE) /* memory takes longer than writing */
            __builtin_prefetch(c->text + w->text_start + at);
        most += (size_t)(w->fixed_size + w->live_size + (3 + w->connector_count) * LONGEST_SLOT + LONGEST_ENDING);
    }
    char *text = malloc(most), *to = text;
    if (!text) return PyErr_NoMemory();
    *to++ = '[';
    for (int64_t n = 0; n < count; n++) {
        if (n) *to++ = ',';
        to = write_station(to, c, found[n]);
    }
    *to++ = ']';
    PyObject *bytes = PyBytes_FromStringAndSize(text, to - text);
    free(text);
    return bytes;
}

/* As `mixed` in states.py. */
static uint64_t mixed(uint64_t bits) {
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB;
    return bits ^ bits >> 31;
}

/* Of a page: see `page_version` in answer.py. */
static uint64_t page_version(const Columns *c, const Found *found, int64_t count, int64_t total, int more) {
    uint64_t version = mixed(2 * (uint64_t)(total + 1) + (uint64_t)more);
    for (int64_t n = 0; n < count; n++) version = mixed(version ^ c->written[found[n].row].version);
    return version;
}

/* ---- answering ---- */

/* Look at everything, and leave the k best in s->heap, in order. */
static void look(Search *s) {
    static const double nothing[3] = {0, 0, 0};
    const Query *q = s->query;
    if (!q->rows) visit(s, 0, s->view->indexed, nothing, 0);
    else for (int64_t n = 0; n < q->row_count; n++) consider(s, q->rows[n]);
    for (int64_t row = s->view->indexed; row < s->view->rows; row++) consider(s, row);
    sort(s->heap, s->size);
}

/* The page, how many match, whether there is a next page, and the version of all this. */
static PyObject *answer(const View *view, const Query *query) {
    int64_t end = query->skip + query->limit, k = end < view->rows ? end + 1 : view->rows; /* one more tells of a next */
    if (query->skip >= view->rows) k = 0;
    double radius2 = query->radius_mm < 0 ? INFINITY : chord2_of(query->radius_mm);
    double angle = (double)query->radius_mm / EARTH_RADIUS_MM, chord = 2 * sin(fmin(angle, M_PI) / 2);
    Search s = {view, &view->columns, query, malloc((size_t)(k + 1) * sizeof(Found)), 0, k, 0, 0,
                query->radius_mm < 0 ? -1 : chord * chord - MARGIN - 1e-9 * chord, radius2, INFINITY, query->by_id || query->radius_mm >= 0};
    if (!s.heap) return PyErr_NoMemory();
    for (int n = 0; n < CODES; n++) s.has_words |= query->code[n] != ANY;
    s.takes_all = query->radius_mm >= 0 && !query->by_id && !s.has_words && !query->types && query->min_power_w == ANY &&
                  query->status == ANY && !query->has_box && !query->text_size;
    if (k || s.is_counted) look(&s);
    if (s.texts > query->texts) {
        free(s.heap);
        return PyErr_Format(PyExc_OverflowError, "more texts than may be searched");
    }
    if (query->total >= 0) s.total = query->total;
    int64_t begin = query->skip < s.size ? query->skip : s.size;
    int64_t length = s.size - begin < query->limit ? s.size - begin : query->limit;
    int more = end < s.size;
    PyObject *page = written(s.columns, s.heap + begin, length), *result = NULL;
    unsigned long long version = page_version(s.columns, s.heap + begin, length, s.is_counted ? s.total : -1, more);
    free(s.heap);
    if (!page) return NULL;
    if (s.is_counted) result = Py_BuildValue("(OLOK)", page, (long long)s.total, more ? Py_True : Py_False, version);
    else result = Py_BuildValue("(OOOK)", page, Py_None, more ? Py_True : Py_False, version);
    Py_DECREF(page);
    return result;
}

static PyObject *answer_packed(const View *view, PyObject *packed, PyObject *text, const Py_buffer *rows) {
    if (!view) return NULL;
    if (PyBytes_Size(packed) != offsetof(Query, text))
        return PyErr_Format(PyExc_ValueError, "not the query that this kernel was made for");
    Query query;
    memcpy(&query, PyBytes_AsString(packed), offsetof(Query, text));
    query.text = PyBytes_AsString(text);
    query.text_size = PyBytes_Size(text);
    query.rows = rows->buf;
    query.row_count = rows->len / (int64_t)sizeof(int32_t);
    return answer(view, &query);
}

/* nearest(view, query, text, rows): `rows`, of int32, alone can match of those in the tree; None: any. */
static PyObject *nearest(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *capsule, *packed, *text;
    Py_buffer rows;
    if (!PyArg_ParseTuple(args, "OSSz*", &capsule, &packed, &text, &rows)) return NULL;
    PyObject *result = answer_packed(PyCapsule_GetPointer(capsule, NULL), packed, text, &rows);
    PyBuffer_Release(&rows);
    return result;
}

static PyMethodDef METHODS[] = {
    {"build", build, METH_VARARGS, NULL},
    {"summarise", summarise, METH_VARARGS, NULL},
    {"hold", hold, METH_VARARGS, NULL},
    {"restate", restate, METH_VARARGS, NULL},
    {"forget", forget, METH_VARARGS, NULL},
    {"nearest", nearest, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&MODULE); }
