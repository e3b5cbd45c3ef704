/* Which instructions this CPU has: a module compiled for any CPU, so that it can be asked before the others are loaded. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* What of x86-64-v3 not every compiler's __builtin_cpu_supports knows: MOVBE, F16C, LZCNT. */
static int has_the_rest_of_v3(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 22) || !(c & 1u << 29)) return 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 5);
}

static int supported(const char *level)
{
    __builtin_cpu_init(); /* knows whether the system saves the wide registers, too */
    int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
             __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") && has_the_rest_of_v3();
    if (!strcmp(level, "v3")) return v3;
    if (!strcmp(level, "v4"))
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return 0;
}
#else
static int supported(const char *level) { return !strcmp(level, "baseline"); }
#endif

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
