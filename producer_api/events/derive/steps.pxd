"""The types by which `steps.py` is compiled."""


cdef class Derivation:
    cdef public object browser, browser_version, os, device, is_bot, country, region
    cdef public object source, channel, trust, excluded
    cdef public object event, client, grant
    cdef public object page, referrer_host, requester, described, click, opts_out
