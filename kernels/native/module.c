/* The Python module: every kernel of kernels.h as a function name(threads, ...), called without the interpreter's lock.
 *
 * Arrays come by the buffer protocol, so NumPy's headers are not needed and one build serves Python 3.11 and later. An
 * array that does not start at a multiple of four bytes is copied, and copied back if it is written.
 *
 * The lock is needed while arguments are read: nobody may change a list meanwhile. The module does not say that it can do
 * without, so a free-threaded Python turns its lock on when it loads this.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

_Static_assert(sizeof(long) == sizeof(void *), "sizes are of type long, which is too short on Windows");
enum { FEW = 24, MANY = 1 << 20 };

struct given {
    Py_buffer view; /* view.obj is NULL for None */
    float *copy;    /* NULL if the array itself is used */
    int written;
};
struct arguments {
    struct call call;
    struct given *given; /* as many as call.arrays */
    long count, room;
    struct array first[FEW];
    struct given first_given[FEW];
};

static int grow(struct arguments *a, long more)
{
    if (a->count + more <= a->room) return 1;
    long room = 2 * (a->count + more);
    struct array *arrays = more > MANY ? NULL : PyMem_Malloc(room * sizeof *arrays);
    struct given *given = more > MANY ? NULL : PyMem_Malloc(room * sizeof *given);
    if (!arrays || !given) {
        PyMem_Free(arrays), PyMem_Free(given);
        PyErr_NoMemory();
        return 0;
    }
    memcpy(arrays, a->call.arrays, a->count * sizeof *arrays);
    memcpy(given, a->given, a->count * sizeof *given);
    if (a->call.arrays != a->first) PyMem_Free(a->call.arrays), PyMem_Free(a->given);
    a->call.arrays = arrays, a->given = given, a->room = room;
    return 1;
}

/* Numbers as they are in registers; NumPy writes "=f" for those at an odd address. */
static int is_float32(const Py_buffer *view)
{
    const char *format = view->format ? view->format : "";
    return view->itemsize == 4 && (!strcmp(format, "f") || !strcmp(format, "=f"));
}

/* The next argument. Once it is counted, release() gives it back, whether it fits or not. */
enum kind { FLOATS, BYTES };
static int add_array(struct arguments *a, PyObject *object, int written, enum kind kind)
{
    struct array *array = &a->call.arrays[a->count];
    struct given *given = &a->given[a->count];
    Py_buffer *view = &given->view;
    *array = (struct array){NULL, 0};
    memset(given, 0, sizeof *given);
    if (object == Py_None) return a->count++, 1;
    if (PyObject_GetBuffer(object, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0))) return 0;
    given->written = written;
    a->count++;
    if (kind == BYTES && view->itemsize == 1) return *array = (struct array){view->buf, (long)view->len}, 1;
    if (kind == BYTES || !is_float32(view)) {
        PyErr_SetString(PyExc_TypeError, kind == BYTES ? "native kernels take these arrays as bytes"
                                                   : "native kernels take arrays of float32");
        return 0;
    }
    *array = (struct array){view->buf, (long)(view->len / 4)};
    if ((uintptr_t)view->buf % 4 == 0) return 1;
    if (!(given->copy = PyMem_Malloc(view->len))) {
        PyErr_NoMemory();
        return 0;
    }
    array->data = memcpy(given->copy, view->buf, view->len);
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
        if (!add_array(a, PyList_GetItem(list, k), written, FLOATS)) return 0;
    return 1;
}

static int number_of_threads(PyObject *number)
{
    long n = PyLong_AsLong(number);
    return n > MAX_WORKERS ? MAX_WORKERS : n < 1 ? 1 : (int)n;
}

/* Fill in `a` from Python's arguments; 0 with an exception set if they are not what `takes` says. */
static int parsed(struct arguments *a, const char *name, const char *takes, PyObject *const *given, Py_ssize_t n)
{
    if (n != (Py_ssize_t)strlen(takes) + 1) {
        PyErr_Format(PyExc_TypeError, "%s takes %d arguments, not %d", name, (int)strlen(takes) + 1, (int)n);
        return 0;
    }
    a->call.threads = number_of_threads(given[0]);
    long lists = 0, numbers = 0, reals = 0;
    for (Py_ssize_t k = 1; k < n && !PyErr_Occurred(); k++) {
        long before = a->count;
        switch (takes[k - 1]) {
        case 'i': a->call.i[numbers++] = PyLong_AsLong(given[k]); continue;
        case 'f': a->call.f[reals++] = PyFloat_AsDouble(given[k]); continue;
        case 'r': case 'w':
            if (!grow(a, 1) || !add_array(a, given[k], takes[k - 1] == 'w', FLOATS)) return 0;
            break;
        case 'b': case 'B':
            if (!grow(a, 1) || !add_array(a, given[k], takes[k - 1] == 'B', BYTES)) return 0;
            break;
        default:
            if (!add_list(a, given[k], takes[k - 1] == 'W')) return 0;
        }
        a->call.lists[lists++] = a->count - before;
    }
    return !PyErr_Occurred();
}

static void release(struct arguments *a, int result)
{
    for (long k = 0; k < a->count; k++) {
        struct given *given = &a->given[k];
        if (given->copy && given->written && result == DONE) memcpy(given->view.buf, given->copy, given->view.len);
        PyMem_Free(given->copy);
        if (given->view.obj) PyBuffer_Release(&given->view);
    }
    if (a->call.arrays != a->first) PyMem_Free(a->call.arrays), PyMem_Free(a->given);
}

static PyObject *called(const char *name, kernel_fn *kernel, const char *takes, PyObject *const *given, Py_ssize_t n)
{
    struct arguments a;
    a.call.arrays = a.first, a.given = a.first_given, a.count = 0, a.room = FEW;
    int result = WRONG_SIZE, ready = parsed(&a, name, takes, given, n);
    if (ready) {
        Py_BEGIN_ALLOW_THREADS
        result = kernel(&a.call);
        Py_END_ALLOW_THREADS
    }
    release(&a, result);
    if (!ready) return NULL;
    if (result == NO_MEMORY)
        return PyErr_Format(PyExc_MemoryError, "%s: no memory for what it computes on the way; give smaller batches", name);
    if (result != DONE) return PyErr_Format(PyExc_ValueError, "%s: an array is missing, or smaller than its sizes say", name);
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

static PyObject *lend(PyObject *self, PyObject *floats)
{
    (void)self;
    size_t count = PyLong_AsSize_t(floats);
    if (PyErr_Occurred()) return NULL;
    float *memory = borrow(count);
    if (!memory) return PyErr_NoMemory();
    give_back(memory);
    Py_RETURN_NONE;
}

#define METHOD(name, takes) {#name, (PyCFunction)(void (*)(void))python_##name, METH_FASTCALL, takes},
static PyMethodDef methods[] = {KERNELS(METHOD)
    {"poison", poison, METH_O, "For tests: from now on, fill borrowed memory with NaN, or leave it."},
    {"lend", lend, METH_O, "For tests: borrow memory for this many numbers and give it back."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, TEXT(MODULE), "Kernels in C for " TEXT(MODULE) ".", -1, methods,
                                        NULL, NULL, NULL, NULL};

#define ENTRY(name, takes) #name ":" takes " "
PyMODINIT_FUNC JOIN(PyInit_, MODULE)(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddStringConstant(module, "INTERFACE", KERNELS(ENTRY))) Py_CLEAR(module);
    return module;
}
