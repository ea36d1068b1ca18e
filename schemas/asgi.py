"""What our server offers applications beyond ASGI: in the `state` of a request's scope."""

#: A function that has the connection keep little of an answer that is not read.
KEEP_LITTLE = "headrace.keep_little"
