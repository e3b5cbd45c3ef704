/* The Python module: every kernel of kernels.h as a function name(threads, ...), called without the interpreter's lock.
 *
 * Arrays come by the buffer protocol, so NumPy's headers are not needed and one build serves Python 3.11 and later.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "kernels.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

enum { FEW = 24, MANY = 1 << 20 };

struct arguments {
    struct call call;
    Py_buffer *views; /* as many as call.arrays */
    long count, room;
    struct array first[FEW];
    Py_buffer first_views[FEW];
};

static int grow(struct arguments *a, long more)
{
    if (a->count + more <= a->room) return 1;
    long room = 2 * (a->count + more);
    struct array *arrays = PyMem_Malloc(room * sizeof *arrays);
    Py_buffer *views = PyMem_Malloc(room * sizeof *views);
    if (!arrays || !views || more > MANY) {
        PyMem_Free(arrays), PyMem_Free(views);
        PyErr_NoMemory();
        return 0;
    }
    memcpy(arrays, a->call.arrays, a->count * sizeof *arrays);
    memcpy(views, a->views, a->count * sizeof *views);
    if (a->call.arrays != a->first) PyMem_Free(a->call.arrays), PyMem_Free(a->views);
    a->call.arrays = arrays, a->views = views, a->room = room;
    return 1;
}

static int add_array(struct arguments *a, PyObject *object, int written)
{
    struct array *array = &a->call.arrays[a->count];
    Py_buffer *view = &a->views[a->count];
    if (object == Py_None) {
        *array = (struct array){NULL, 0};
        memset(view, 0, sizeof *view);
    } else {
        if (PyObject_GetBuffer(object, view, PyBUF_ANY_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0))) return 0;
        if (view->itemsize != 4 || !view->format || strcmp(view->format, "f")) {
            PyBuffer_Release(view);
            PyErr_SetString(PyExc_TypeError, "native kernels take arrays of float32");
            return 0;
        }
        *array = (struct array){view->buf, (long)(view->len / 4)};
    }
    a->count++;
    return 1;
}

static int add_list(struct arguments *a, PyObject *list, int written)
{
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "native kernels take lists of arrays");
        return 0;
    }
    Py_ssize_t n = PyList_Size(list);
    if (!grow(a, n)) return 0;
    for (Py_ssize_t k = 0; k < n; k++)
        if (!add_array(a, PyList_GetItem(list, k), written)) return 0;
    return 1;
}

/* Fill in `a` from Python's arguments; 0 with an exception set if they are not what `takes` says. */
static int parsed(struct arguments *a, const char *name, const char *takes, PyObject *const *given, Py_ssize_t n)
{
    if (n != (Py_ssize_t)strlen(takes) + 1) {
        PyErr_Format(PyExc_TypeError, "%s takes %d arguments, not %d", name, (int)strlen(takes) + 1, (int)n);
        return 0;
    }
    a->call.threads = (int)PyLong_AsLong(given[0]);
    long lists = 0, numbers = 0, reals = 0;
    for (Py_ssize_t k = 1; k < n && !PyErr_Occurred(); k++) {
        long before = a->count;
        switch (takes[k - 1]) {
        case 'i': a->call.i[numbers++] = PyLong_AsLong(given[k]); continue;
        case 'f': a->call.f[reals++] = PyFloat_AsDouble(given[k]); continue;
        case 'r': case 'w':
            if (!grow(a, 1) || !add_array(a, given[k], takes[k - 1] == 'w')) return 0;
            break;
        default:
            if (!add_list(a, given[k], takes[k - 1] == 'W')) return 0;
        }
        a->call.lists[lists++] = a->count - before;
    }
    return !PyErr_Occurred();
}

static PyObject *called(const char *name, kernel_fn *kernel, const char *takes, PyObject *const *given, Py_ssize_t n)
{
    struct arguments a;
    int result = DONE;
    a.call.arrays = a.first, a.views = a.first_views, a.count = 0, a.room = FEW;
    int ready = parsed(&a, name, takes, given, n);
    if (ready) {
        Py_BEGIN_ALLOW_THREADS
        result = kernel(&a.call);
        Py_END_ALLOW_THREADS
    }
    for (long k = 0; k < a.count; k++)
        if (a.views[k].obj) PyBuffer_Release(&a.views[k]);
    if (a.call.arrays != a.first) PyMem_Free(a.call.arrays), PyMem_Free(a.views);
    if (!ready) return NULL;
    if (result == NO_MEMORY) return PyErr_NoMemory();
    if (result != DONE) return PyErr_Format(PyExc_ValueError, "%s: an array is smaller than its sizes say", name);
    Py_RETURN_NONE;
}

#define FUNCTION(name, takes)                                                           \
    static PyObject *python_##name(PyObject *self, PyObject *const *given, Py_ssize_t n) \
    {                                                                                   \
        (void)self;                                                                     \
        return called(#name, name, takes, given, n);                                    \
    }
KERNELS(FUNCTION)

static PyObject *poison(PyObject *self, PyObject *on)
{
    (void)self;
    poisoned = PyObject_IsTrue(on);
    Py_RETURN_NONE;
}

#define METHOD(name, takes) {#name, (PyCFunction)(void (*)(void))python_##name, METH_FASTCALL, takes},
static PyMethodDef methods[] = {KERNELS(METHOD){"poison", poison, METH_O, "Fill borrowed memory with NaN."}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, TEXT(MODULE), "Kernels in C for " TEXT(MODULE) ".", -1, methods,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC JOIN(PyInit_, MODULE)(void) { return PyModule_Create(&definition); }
