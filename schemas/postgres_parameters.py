"""The parameters of PostgreSQL URLs: those of libpq, and those that database providers add.

A parameter is passed to the driver, accepted if its value is what headrace does in any case,
ignored with a log line, or rejected with the reason. Unknown parameters are rejected.
"""

from dataclasses import dataclass

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Parameter:
    """The handling of one parameter.

    `values` are the accepted values (empty: any). `is_ignored` parameters are logged. `rejection`
    is the reason in the error about other values.
    """

    values: tuple[str, ...] = ()
    is_ignored: bool = False
    rejection: str = ""
    #: The parameter that this one is an alias of.
    same_as: str = ""


YES = ("1", "true", "on", "yes")
NO = ("0", "false", "off", "no")
#: Parsed into the address or passed to the driver as they are.
_PASSED = (
    *("host", "port", "user", "password", "dbname", "passfile", "krbsrvname", "gsslib"),
    *("sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
    *("application_name", "fallback_application_name", "options", "schema", "connect_timeout"),
)
#: Parameters of connection pools and sockets: headrace has its own pool.
_IGNORED = (
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "tcpKeepAlive", "load_balance_hosts", "gssdelegation"),
    *("connection_limit", "pool_timeout", "pool_size", "pool", "max_connections", "socket_timeout"),
    *("max_idle_connection_lifetime", "max_connection_lifetime", "min_protocol_version"),
    *("max_protocol_version", "supa", "workaround", "uselibpqcompat", "binary_parameters"),
    *("serverVersion", "sslsni"),
)
_REJECTED = {
    "service": "headrace does not read service files: put the parameters into the URL",
    "servicefile": "headrace does not read service files: put the parameters into the URL",
    "hostaddr": "use the address as the host",
    "require_auth": "the driver cannot restrict the authentication method",
    "requirepeer": "the driver cannot check the server's user",
    "replication": "headrace does not replicate",
    "sslcrldir": "use sslcrl with a single file",
    "requiressl": "use sslmode=require",
    "sslidentity": "use sslcert and sslkey",
}

PARAMETERS: dict[str, Parameter] = {
    **{name: Parameter() for name in _PASSED},
    **{name: Parameter(is_ignored=True) for name in _IGNORED},
    **{name: Parameter(("",), rejection=why) for name, why in _REJECTED.items()},
    "database": Parameter(same_as="dbname"),
    "currentSchema": Parameter(same_as="schema"),
    "ApplicationName": Parameter(same_as="application_name"),
    "sslmode": Parameter(SSL_MODES),
    "ssl": Parameter((*YES, *NO, *SSL_MODES)),
    "sslnegotiation": Parameter(("postgres", "direct")),
    "ssl_min_protocol_version": Parameter(("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
    "ssl_max_protocol_version": Parameter(("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
    "sslcertmode": Parameter(("allow",), rejection="the driver does not support this"),
    "sslcompression": Parameter(NO, rejection="TLS is never compressed"),
    "sslaccept": Parameter(
        ("accept_invalid_certs",), rejection="use sslmode=verify-ca or sslmode=verify-full"
    ),
    "channel_binding": Parameter(
        ("disable", "prefer"),
        rejection="the driver does not support channel binding: remove it, and use "
        "sslmode=verify-full instead",
    ),
    "gssencmode": Parameter(
        ("disable", "prefer"),
        rejection="the driver does not support GSSAPI encryption: use sslmode",
    ),
    "target_session_attrs": Parameter(
        ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
    ),
    "client_encoding": Parameter(
        ("auto", "utf8", "UTF8", "utf-8", "UTF-8"), rejection="headrace stores UTF-8"
    ),
    "charset": Parameter(same_as="client_encoding"),
    "encoding": Parameter(same_as="client_encoding"),
    "pgbouncer": Parameter((*YES, *NO)),
    "prepared_statements": Parameter((*YES, *NO)),
    "statement_cache_size": Parameter(),
    "prepared_statement_cache_size": Parameter(same_as="statement_cache_size"),
    "prepareThreshold": Parameter(same_as="statement_cache_size"),
}
