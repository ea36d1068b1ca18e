"""The types by which `conversion.py` is compiled."""

cimport cython

cdef long long _MILLION

cpdef str iso_utc(long long at)

@cython.locals(index=Py_ssize_t)
cpdef bint are_storable(object rows, tuple texts, tuple checks)

@cython.locals(index=Py_ssize_t, values=list, converted=list)
cpdef list convert(object rows, tuple conversions)
