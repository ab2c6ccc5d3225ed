/* Where an array's memory starts. Valid as long as the caller holds the array: NumPy arrays do not move. */
#ifndef DPMPI_BUFFER_H
#define DPMPI_BUFFER_H

#include <Python.h>

static inline void *address(PyObject *array)
{
    Py_buffer view;
    void *start;
    if (PyObject_GetBuffer(array, &view, PyBUF_STRIDES) < 0)
        return NULL;
    start = view.buf;
    PyBuffer_Release(&view);
    return start;
}

#endif
