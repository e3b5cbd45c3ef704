/* Which instructions this CPU has: a module compiled for any CPU, so that it can be asked before the others are loaded. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

static int supported(const char *level)
{
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_cpu_init();
    int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (!strcmp(level, "v3")) return v3;
    if (!strcmp(level, "v4"))
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return 0;
#else
    return !strcmp(level, "baseline");
#endif
}

static PyObject *supports(PyObject *self, PyObject *level)
{
    (void)self;
    PyObject *text = PyUnicode_AsASCIIString(level);
    if (!text) return NULL;
    PyObject *result = PyBool_FromLong(supported(PyBytes_AsString(text)));
    Py_DECREF(text);
    return result;
}

static PyMethodDef methods[] = {{"supports", supports, METH_O, "Whether this CPU has the instructions of a level."},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_features", "Which instructions this CPU has.", -1, methods,
                                        NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__features(void) { return PyModule_Create(&definition); }
