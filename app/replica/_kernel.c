/* The nearest stations that match, exactly: a k-d tree over points on the unit sphere.

   The tree is nothing but an order of the points. Of a range of them the middle one splits: along one axis, those
   before it are not greater, those after it not less. Ranges of up to LEAF points are not split. In three dimensions
   the antimeridian and the poles are places like any other, and the straight line (the chord) between two points grows
   with the distance over ground.

   Each point has traits, a set of bits; of each range that is split the union is kept, so that what is rare is found
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
#define TYPES 0 /* which of them has a bit for each type of connector, from the lowest */

typedef struct {
    double at[3];
    int64_t row;
} Point;

typedef struct {
    const Point *points;
    const uint8_t *axis;    /* by the middle of a range */
    const uint64_t *traits; /* of each point */
    const uint64_t *below;  /* by the middle of a range: the traits of all its points together */
    int64_t size;
} Tree;

typedef struct {
    int64_t mm, id, row;
} Found;

/* One entry a row, or (the last three) one a connector. In the order of `Columns.buffers`. */
#define COLUMNS 13
typedef struct {
    const int64_t *id, *first, *count;
    const uint8_t *present, *status;
    const double *position; /* longitude, latitude in degrees */
    const int32_t *code[CODES];
    const uint8_t *type, *connector_status;
    const int32_t *power_w;
    PyObject *texts; /* list of bytes */
} Columns;

/* As compiled.py packs it. */
typedef struct {
    double origin[3];
    double west, south, east, north;
    int64_t radius_mm; /* negative: none */
    int64_t skip, limit;
    uint64_t any_of[TRAITS]; /* sets of traits of which each, unless it is empty, must meet the point's */
    int32_t has_box, status, min_power_w;
    int32_t code[CODES];
    const char *text; /* from here on not packed */
    Py_ssize_t text_size; /* 0: none */
} Query;

typedef struct {
    const Tree *tree;
    const Columns *columns;
    const Query *query;
    Found *heap; /* the k best so far; the worst of them first */
    int64_t size, k, total;
    double surely_inside, reach; /* squared chords: of the radius, less the margin; of what must still be looked at */
    double worst;                /* squared chord beyond which nothing gets into the heap */
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
    uint64_t types = q->any_of[TYPES];
    if (!types && q->min_power_w == ANY && q->status == ANY) return 1;
    for (int64_t n = c->first[row], end = n + c->count[row]; n < end; n++) {
        if (types && (c->type[n] > 63 || !(types >> c->type[n] & 1))) continue;
        if (q->min_power_w != ANY && c->power_w[n] < q->min_power_w) continue;
        if (q->status != ANY && c->connector_status[n] != q->status) continue;
        return 1;
    }
    return 0;
}

static int has_text(const Columns *c, const Query *q, int64_t row) {
    PyObject *text = PyList_GetItem(c->texts, row);
    return memmem(PyBytes_AsString(text), (size_t)PyBytes_Size(text), q->text, (size_t)q->text_size) != NULL;
}

static int matches(const Columns *c, const Query *q, int64_t row) {
    if (!c->present[row]) return 0;
    if (q->status != ANY && c->status[row] != q->status) return 0;
    for (int n = 0; n < CODES; n++)
        if (q->code[n] != ANY && c->code[n][row] != q->code[n]) return 0;
    if (q->has_box && !in_box(q, c->position + 2 * row)) return 0;
    return has_connector(c, q, row) && (!q->text_size || has_text(c, q, row));
}

/* ---- the heap ---- */

static int is_after(Found a, Found b) { return a.mm != b.mm ? a.mm > b.mm : a.id > b.id; }

static int by_distance(const void *a, const void *b) { return is_after(*(const Found *)a, *(const Found *)b) ? 1 : -1; }

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
    if (s->size == s->k) {
        s->worst = chord2_of(s->heap[0].mm);
        if (s->query->radius_mm < 0) s->reach = s->worst;
    }
}

/* ---- the search ---- */

/* The angle is atan2(|a x b|, a . b): arcsine and arccosine lose half the digits at one end. */
static int64_t distance_mm(const double *a, const double *b) {
    double x = a[1] * b[2] - a[2] * b[1], y = a[2] * b[0] - a[0] * b[2], z = a[0] * b[1] - a[1] * b[0];
    double angle = atan2(sqrt(x * x + y * y + z * z), a[0] * b[0] + a[1] * b[1] + a[2] * b[2]);
    return llrint(angle * EARTH_RADIUS_MM);
}

static int may_match(const Query *q, uint64_t traits) {
    for (int n = 0; n < TRAITS; n++)
        if (q->any_of[n] && !(q->any_of[n] & traits)) return 0;
    return 1;
}

static void consider(Search *s, const double *at, int64_t row) {
    const Query *q = s->query;
    double x = at[0] - q->origin[0], y = at[1] - q->origin[1], z = at[2] - q->origin[2];
    double chord2 = x * x + y * y + z * z;
    if (chord2 > s->reach || !matches(s->columns, q, row)) return;
    if (chord2 > s->worst && chord2 < s->surely_inside) {
        s->total++;
        return;
    }
    int64_t mm = distance_mm(at, q->origin);
    if (q->radius_mm >= 0 && mm > q->radius_mm) return;
    s->total++;
    keep(s, (Found){mm, s->columns->id[row], row});
}

static void consider_point(Search *s, int64_t n) {
    const Point *point = s->tree->points + n;
    if (may_match(s->query, s->tree->traits[n])) consider(s, point->at, point->row);
}

/* `chord2` is a lower bound of the range's points: the squared distance to their half-spaces, by axis in `beyond`. */
static void visit(Search *s, int64_t begin, int64_t end, const double beyond[3], double chord2) {
    double outside[3] = {beyond[0], beyond[1], beyond[2]};
    while (end - begin > LEAF) {
        int64_t middle = begin + (end - begin) / 2;
        if (!may_match(s->query, s->tree->below[middle])) return;
        int axis = s->tree->axis[middle];
        double past = s->query->origin[axis] - s->tree->points[middle].at[axis];
        int is_after_middle = past > 0;
        visit(s, is_after_middle ? middle + 1 : begin, is_after_middle ? end : middle, outside, chord2);
        consider_point(s, middle);
        chord2 += past * past - outside[axis] * outside[axis];
        outside[axis] = past;
        if (chord2 - MARGIN > s->reach) return;
        if (is_after_middle) end = middle;
        else begin = middle + 1;
    }
    for (; begin < end; begin++) consider_point(s, begin);
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

static uint64_t unite(const uint64_t *traits, uint64_t *below, int64_t begin, int64_t end) {
    uint64_t all = 0;
    if (end - begin <= LEAF) {
        for (; begin < end; begin++) all |= traits[begin];
        return all;
    }
    int64_t middle = begin + (end - begin) / 2;
    all = traits[middle] | unite(traits, below, begin, middle) | unite(traits, below, middle + 1, end);
    return below[middle] = all;
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

/* summarise(traits, below): unite the traits of each range of the tree. */
static PyObject *summarise(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer traits, below;
    if (!PyArg_ParseTuple(args, "y*w*", &traits, &below)) return NULL;
    int fits = traits.len == below.len;
    if (fits) unite(traits.buf, below.buf, 0, traits.len / (int64_t)sizeof(uint64_t));
    PyBuffer_Release(&traits);
    PyBuffer_Release(&below);
    if (!fits) return PyErr_Format(PyExc_ValueError, "a tree has as many summaries as points");
    Py_RETURN_NONE;
}

/* Look at everything, and leave the k best in s->heap, in order. */
static void search(Search *s, const double *points, int64_t rows) {
    static const double nothing[3] = {0, 0, 0};
    visit(s, 0, s->tree->size, nothing, 0);
    for (int64_t row = s->tree->size; row < rows; row++) consider(s, points + 3 * row, row);
    qsort(s->heap, (size_t)s->size, sizeof(Found), by_distance);
}

/* The page as bytes of `Found`, how many are within the radius, and whether there is a next page. */
static PyObject *answer(const Tree *tree, const Columns *columns, const Query *query, const double *points,
                        int64_t rows) {
    int64_t end = query->skip + query->limit, k = end < rows ? end + 1 : rows; /* one more tells of a next page */
    double radius2 = query->radius_mm < 0 ? INFINITY : chord2_of(query->radius_mm);
    double angle = (double)query->radius_mm / EARTH_RADIUS_MM, chord = 2 * sin(fmin(angle, M_PI) / 2);
    Search s = {tree, columns, query, malloc((size_t)(k + 1) * sizeof(Found)), 0, k, 0,
                query->radius_mm < 0 ? -1 : chord * chord - MARGIN - 1e-9 * chord, radius2, INFINITY};
    if (!s.heap) return PyErr_NoMemory();
    search(&s, points, rows);
    int64_t begin = query->skip < s.size ? query->skip : s.size;
    int64_t length = s.size - begin < query->limit ? s.size - begin : query->limit;
    PyObject *found = PyBytes_FromStringAndSize((const char *)(s.heap + begin), length * (int64_t)sizeof(Found));
    PyObject *page = found ? Py_BuildValue("(NLO)", found, (long long)s.total, end < s.size ? Py_True : Py_False) : NULL;
    free(s.heap);
    return page;
}

/* nearest((points, axes, traits, below), all_points, columns, texts, query, text) */
static PyObject *nearest(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer indexed, axes, traits, below, points, column[COLUMNS];
    PyObject *columns, *page = NULL;
    PyObject *texts;
    Query query;
    PyObject *packed, *text;
    int held = 0;
    if (!PyArg_ParseTuple(args, "(y*y*y*y*)y*O!O!SS", &indexed, &axes, &traits, &below, &points, &PyTuple_Type,
                          &columns, &PyList_Type, &texts, &packed, &text))
        return NULL;
    if (PyBytes_Size(packed) != offsetof(Query, text) || PyTuple_Size(columns) != COLUMNS)
        PyErr_SetString(PyExc_ValueError, "not the query or the columns that this kernel was made for");
    else
        while (held < COLUMNS && !PyObject_GetBuffer(PyTuple_GetItem(columns, held), column + held, PyBUF_SIMPLE)) held++;
    if (held == COLUMNS) {
        memcpy(&query, PyBytes_AsString(packed), offsetof(Query, text));
        query.text = PyBytes_AsString(text);
        query.text_size = PyBytes_Size(text);
        Columns c = {column[0].buf, column[1].buf, column[2].buf,  column[3].buf, column[4].buf, column[5].buf,
                     {column[6].buf, column[7].buf, column[8].buf, column[9].buf},
                     column[10].buf, column[11].buf, column[12].buf, texts};
        Tree tree = {indexed.buf, axes.buf, traits.buf, below.buf, axes.len};
        page = answer(&tree, &c, &query, points.buf, points.len / (int64_t)(3 * sizeof(double)));
    }
    while (held > 0) PyBuffer_Release(column + --held);
    PyBuffer_Release(&points);
    PyBuffer_Release(&below);
    PyBuffer_Release(&traits);
    PyBuffer_Release(&axes);
    PyBuffer_Release(&indexed);
    return page;
}

static const char DISTANCE[] = ",\"distance_km\":";
#define DISTANCE_LENGTH ((Py_ssize_t)sizeof DISTANCE - 1)
#define FRACTION_DIGITS 6

/* Bytes of the kilometres before the point, at least one. */
static Py_ssize_t whole_digits(int64_t km) {
    Py_ssize_t digits = 1;
    while (km /= 10) digits++;
    return digits;
}

static Py_ssize_t ending_length(int64_t mm) {
    return DISTANCE_LENGTH + whole_digits(mm / 1000000) + 1 + FRACTION_DIGITS + 1;
}

/* The distance in kilometres, and the end of the object. */
static char *write_ending(char *to, int64_t mm) {
    memcpy(to, DISTANCE, (size_t)DISTANCE_LENGTH);
    to += ending_length(mm);
    char *digit = to;
    *--digit = '}';
    for (int n = 0; n < FRACTION_DIGITS; n++, mm /= 10) *--digit = (char)('0' + mm % 10);
    *--digit = '.';
    do *--digit = (char)('0' + mm % 10);
    while (mm /= 10);
    return to;
}

/* join(fragments, page): a JSON array of the page's fragments, each with its distance. */
static PyObject *join(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *fragments, *page;
    if (!PyArg_ParseTuple(args, "O!S", &PyList_Type, &fragments, &page)) return NULL;
    Py_ssize_t count = PyBytes_Size(page) / (Py_ssize_t)sizeof(Found), length = 2 + (count ? count - 1 : 0);
    const Found *found = (const Found *)PyBytes_AsString(page);
    for (Py_ssize_t n = 0; n < count; n++) {
        PyObject *fragment = PyList_GetItem(fragments, found[n].row);
        Py_ssize_t size = fragment ? PyBytes_Size(fragment) : -1;
        if (size < 0) return NULL;
        length += size + ending_length(found[n].mm);
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, length);
    if (!joined) return NULL;
    char *to = PyBytes_AsString(joined);
    *to++ = '[';
    for (Py_ssize_t n = 0; n < count; n++) {
        PyObject *fragment = PyList_GetItem(fragments, found[n].row);
        Py_ssize_t size = PyBytes_Size(fragment);
        if (n) *to++ = ',';
        memcpy(to, PyBytes_AsString(fragment), (size_t)size);
        to = write_ending(to + size, found[n].mm);
    }
    *to = ']';
    return joined;
}

static PyMethodDef METHODS[] = {
    {"build", build, METH_VARARGS, NULL},
    {"summarise", summarise, METH_VARARGS, NULL},
    {"nearest", nearest, METH_VARARGS, NULL},
    {"join", join, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&MODULE); }
