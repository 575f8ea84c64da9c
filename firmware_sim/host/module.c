/* The Python module edgeseq._engine: one call for a step, without copies and without ctypes, which
 * would take longer than a small model. Stable ABI of Python 3.11; left out of the library where
 * Python.h is missing, and ctypes does the same then. */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "es_host.h"

/* Whether `view` is exactly what the stepper reads: aligned, C-contiguous [1][frames][width]. */
static int fits(const Py_buffer *view, const es_input *wanted) {
    const char *format = view->format ? view->format : "B";
    if (view->ndim != 3 || (size_t)view->itemsize != wanted->element) return 0;
    if (view->shape[0] != 1 || view->shape[1] != wanted->frames) return 0;
    if (view->shape[2] != wanted->width || (uintptr_t)view->buf % wanted->element) return 0;
    if (wanted->takes_bytes) return !strcmp(format, "q") || !strcmp(format, "l");
    return !strcmp(format, "f");
}

/* step(address of an es_stepper, x): 0 when the step was made, 1 when x is not such an array, a
 * negative es_status otherwise. */
static PyObject *step(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    es_stepper *stepper;
    es_input wanted;
    Py_buffer view;
    long result = 1;
    (void)self;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "step takes an address and an array");
        return NULL;
    }
    stepper = PyLong_AsVoidPtr(args[0]);
    if (!stepper) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "the address is 0");
        return NULL;
    }
    if (PyObject_GetBuffer(args[1], &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
        PyErr_Clear();
        return PyLong_FromLong(result);
    }
    wanted = es_stepper_input(stepper);
    if (fits(&view, &wanted)) result = es_stepper_step(stepper, view.buf);
    PyBuffer_Release(&view);
    return PyLong_FromLong(result);
}

static PyMethodDef methods[] = {
    {"step", (PyCFunction)(void (*)(void))step, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_engine", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__engine(void);
PyMODINIT_FUNC PyInit__engine(void) {
    return PyModule_Create(&module);
}
