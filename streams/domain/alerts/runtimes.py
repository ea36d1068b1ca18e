"""Stack traces by runtime: how a frame is written, and which frames are not the application's.

To support another runtime, add a row to `RUNTIMES` and stacks of it to
`tests/unit/streams/stacks.txt`. Patterns must be linear: anchor them at the beginning of a line,
and let no two repetitions match the same characters.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple


class Library(NamedTuple):
    """Code that is not the application's: how its functions begin, what its files contain."""

    functions: re.Pattern[str]
    files: re.Pattern[str]

    def has(self, function: str, file: str) -> bool:
        """Return True if a frame is of this code; the file has forward slashes."""
        return self.functions.match(function) is not None or self.files.search(file) is not None


@dataclass(frozen=True, slots=True)
class Runtime:
    """How one runtime writes its stacks.

    `frame` matches one frame, with the groups `file` and `function`, one of which may be absent.
    `library` has the frames that are not the application's own. Frames are
    innermost first, unless `innermost_last` is found in the stack.
    `cause` begins the stack of an exception's cause: the last one is the root cause. `next_error`
    begins the stack of an exception that was raised because of the one before it: the first one
    is the root cause. `dropped` is removed from a function's name. `raised_in` finds the file
    that raised, for a runtime whose frames name the file that called the function.
    """

    name: str
    frame: re.Pattern[str]
    library: Library
    innermost_last: re.Pattern[str] | None = None
    cause: re.Pattern[str] | None = None
    next_error: re.Pattern[str] | None = None
    dropped: re.Pattern[str] | None = None
    raised_in: re.Pattern[str] | None = None


def _frame(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE | re.VERBOSE)


def _library(functions: str, files: str) -> Library:
    return Library(
        re.compile(functions or r"(?!)", re.VERBOSE), re.compile(files, re.VERBOSE | re.IGNORECASE)
    )


_JAVASCRIPT_LIBRARY = _library(
    r"Promise\.(?:all|any|allSettled|race)$",
    r"""
    ^$ | <anonymous> | self-hosted
    | node_modules | /vendor/ | \.pnpm/ | \.yarn/ | /\.vite/deps/ | jspm_packages | bower_components
    | ^(?:node:|ext:|internal/|resource:|chrome:|extensions::|debugger\ eval)
    | (?:chrome|moz|safari|safari-web|ms-browser)-extension:
    | webpack/(?:runtime|bootstrap|startup|before-startup)
    | ^(?:events|module|net|fs|timers|vm|util|stream|domain|assert|child_process|buffer|dns
        |http|https|readline|tls|zlib|bootstrap_node|_stream_\w+|_http_\w+)\.js$
    | //(?:unpkg\.com|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|ajax\.googleapis\.com
        |code\.jquery\.com|esm\.sh|deno\.land|(?:www\.)?googletagmanager\.com)/
    | /(?:chunk-)?(?:vendors?|polyfills?|framework|webpack)\b(?:[.~_-][^/\n]*)?\.m?js$
    | /(?:jquery|react|react-dom|vue|angular|zone|lodash|core-js|bootstrap)
        (?:[.-](?:[\d.]+|min|slim|umd|cjs|runtime|global|esm-browser|prod|production|development))*\.m?js$
    """,
)

_DOTNET_FUNCTIONS = r"""
    (?:System|Microsoft|Mono|Newtonsoft|Npgsql|MySql|MySqlConnector|Dapper|Serilog|AutoMapper|MediatR
    |Polly|NUnit|Xunit|Castle|Grpc|UnityEngine|UnityEditor|Java\.Interop|ObjCRuntime|Swashbuckle
    |StackExchange|Hangfire|Quartz|FluentValidation)\. | lambda_method
"""

#: The first row wins where several recognise as many frames.
RUNTIMES: tuple[Runtime, ...] = (
    Runtime(
        "Python",
        _frame(
            r"""^[ \t|]*+File\ "(?P<file>[^"\n]+)",\ line\ \d+(?:,?\ in\ (?P<function>[^\n]+))?"""
        ),
        _library(
            "",
            r"""
            site-packages | dist-packages | /lib(?:64)?/python\d | /python[\d.]*/lib/ | \.egg/
            | ^<(?:frozen|string|stdin|__array_function__) | /var/runtime/ | /vendor/
            """,
        ),
        innermost_last=re.compile(r"\A(?![\s\S]*most recent call first)"),
        next_error=re.compile(
            r"^[ \t|]*+(?:During handling of the above exception"
            r"|The above exception was the direct cause)",
            re.MULTILINE,
        ),
    ),
    Runtime(
        "Java, Kotlin, Scala",
        _frame(
            r"""
            ^[ \t]*+at\ (?P<function>[^\s(]+)\(
            (?P<file>[\w$.-]+\.(?:java|kts?|scala|groovy|clj)|Native\ Method|Unknown\ Source
                |<generated>|SourceFile|r8-map-id-\w+)
            (?::\d+)?\)
            """
        ),
        _library(
            r"""
            (?:[^\s/]*/)*
            (?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|clojure|android|androidx
            |dalvik|com\.android|com\.google\.(?:android|common|gson|inject|firebase)|reactor|okhttp3|okio
            |org\.(?:springframework|hibernate|apache|eclipse|jboss|junit|mockito|slf4j|aspectj|thymeleaf
                |gradle|codehaus|postgresql|mongodb|jooq|glassfish|xml|w3c|opentest4j|hsqldb|h2)
            |io\.(?:netty|reactivex|micrometer|undertow|quarkus|vertx|ktor|grpc|lettuce|micronaut|jsonwebtoken)
            |com\.(?:zaxxer|fasterxml|mysql|mongodb|squareup|netflix|intellij|microsoft\.sqlserver|amazonaws)
            |net\.(?:bytebuddy|sf\.cglib)|retrofit2|ch\.qos|feign|rx|akka|play|oracle|software\.amazon)\.
            | [^\n]*?(?:\$\$|\$Proxy\d|GeneratedMethodAccessor)
            """,
            r"^<generated>",
        ),
        cause=re.compile(r"^[ \t]*+(?:Caused by|Suppressed): ", re.MULTILINE),
        # What the compiler numbers: lambdas, and Kotlin's continuations.
        dropped=re.compile(
            r"^(?:[^\s/]*/)+|\$\d+(?=[.$])|\$\d+$|(?<=\.)lambda\$|(?<=\.)\$anonfun\$"
        ),
    ),
    Runtime(
        ".NET",
        _frame(
            r"""
            ^[ \t]*+(?:at|bei|à|en|in)\ (?P<function>[^\s(]+)
            (?:\([^\n)]*\)|\ \([^\n)]*\)\ \[0x[0-9a-f]+\])
            (?:\ in\ (?:<[^>\n]*>|(?P<file>[^\n]+?)):(?:\w+\ )?\d+)?[ \t]*$
            """
        ),
        _library(_DOTNET_FUNCTIONS, r"/dotnet/runtime/ | /_/src/(?:libraries|coreclr)/"),
        # The compiler's names of async methods, lambdas and local functions.
        dropped=re.compile(
            r"<>c(?:__DisplayClass\w+)?\.|[<>](?=[a-z]__)|<(?=\w+>[a-z]__)|[a-z]__[\d_]*(?:\.MoveNext)?"
            r"|\|[\d_]+|`\d+|\[[^\]\n]*\]"
        ),
    ),
    Runtime(
        "Unity",
        _frame(
            r"""^[ \t]*+(?P<function>[^\s()]+)\ ?\([^\n)]*\)\ \(at\ (?P<file>[^\n]+?\.cs):\d+\)"""
        ),
        _library(_DOTNET_FUNCTIONS, r"Library/PackageCache/"),
    ),
    Runtime(
        "PHP",
        _frame(
            r"""
            ^[ \t]*+\#\d+\ (?:\{main\}
            |(?:(?P<file>[^\n]+?)\(\d+\)|\[internal\ function\]):\ (?P<function>[^\n(]+))
            """
        ),
        _library(
            r"""
            (?:Illuminate|Laravel|Symfony|Doctrine|GuzzleHttp|Monolog|Twig|Psr|Composer|PHPUnit|Livewire)\\
            | (?:PDO|PDOStatement|mysqli\w*|SoapClient|DateTime\w*|Redis|Memcached
                |SimpleXMLElement|DOM\w+
                |Reflection\w*|Closure|Generator|Array\w+|Iterator\w*|Spl\w+)(?:->|::)
            | (?:json|array|preg|mb|str|file|curl|mysqli|iterator|ctype|date|call_user)_\w+$
            | (?:unserialize|trigger_error|in_array|count|usort|uasort|strlen|substr|explode|implode
                |fopen
                |sprintf|number_format|intdiv)$
            """,
            r"/vendor/ | phar:// | /wp-includes/",
        ),
        next_error=re.compile(r"^Next [^\n]+", re.MULTILINE),
        dropped=re.compile(r"(?<=\{closure):[^}\n]*"),
        raised_in=re.compile(r"\bin (?P<file>(?:[A-Za-z]:)?[^:\n]*\.\w+)(?::| on line )\d+"),
    ),
    Runtime(
        "Dart",
        _frame(
            r"""
            ^[ \t]*+\#\d+[ \t]++(?P<function>[^\n(]*[^\s(])\ +
            \((?P<file>[^\n)]+?)(?::\d+){0,2}\)[ \t]*$
            """
        ),
        _library(
            "",
            r"^(?:dart:|package:(?:flutter\w*|stack_trace|test_api|async|collection|bloc|provider"
            r"|riverpod|get|dio|http|sentry\w*)/) | /\.pub-cache/ | /flutter/packages/",
        ),
        dropped=re.compile(r"(?:\.<[^>\n]*closure>)+$|(?:\.<fn>)+$|^new "),
    ),
    Runtime(
        "Dart, terse",
        _frame(
            r"""
            ^[ \t]*+(?P<file>(?:package|dart|file|org-dartlang-app|org-dartlang-sdk):\S+)
            \ +\d+(?::\d+)?
            [ \t]+(?P<function>\S[^\n]*)$
            """
        ),
        _library(
            "",
            r"^(?:dart:|org-dartlang-sdk:|package:(?:flutter\w*|stack_trace|async|bloc|provider|dio|http)/)",
        ),
        dropped=re.compile(r"(?:\.<fn>)+$|^new "),
    ),
    Runtime(
        "Ruby",
        _frame(
            r"""
            ^[ \t]*+(?:\d+:\ )?(?:from\ )?(?P<file>(?:[A-Za-z]:)?[^\s:][^:\n]*):\d+
            :in\ [`'"](?P<function>[^\n]*?)['"](?=$|[:\r\ ])
            """
        ),
        _library(
            "",
            r"/gems/ | /(?:lib|share)/ruby/ | ^<internal: | vendor/(?:bundle|cache)/ | /\.bundle/",
        ),
        innermost_last=re.compile(r"most recent call last"),
        # The block of a method is the method.
        dropped=re.compile(r"(?:(?:block|rescue|ensure)(?: \(\d+ levels\))? in )+"),
    ),
    Runtime(
        "Go",
        _frame(
            r"""
            ^(?P<function>[^\s(]+(?:\(\*?[^()\s]+\)\.[^\s(]*)?)
            (?:\([^\n]*\)|\ in\ goroutine\ \d+)?\n
            [ \t]+(?P<file>\S[^\n]*?\.(?:go|s)):\d+
            """
        ),
        _library(
            r"(?:runtime|panic$|reflect|sync|syscall|testing|encoding|database|os|io|fmt|strings|strconv"
            r"|bufio|bytes|context|sort|slices|time|math|crypto|net|html|text|log|regexp|errors)[./]",
            r"/(?:usr/local/go|usr/lib/go[\d.-]*|go[\d.]+|goroot|libexec|hostedtoolcache/go/[^\n]*)/src/"
            r"| @v\d | /pkg/mod/ | /vendor/",
        ),
        dropped=re.compile(r"(?:\.func\d+|\.gowrap\d+|\.\d+)+$|\[\.\.\.\]"),
    ),
    Runtime(
        "Rust",
        _frame(
            r"""
            ^[ \t]*+\d+:\ +(?:0x[0-9a-f]+\ -\ )?(?P<function>[\w<&\[(][^\n]*)
            (?:\n[ \t]+at\ (?P<file>[^\n]+?)(?::\d+){1,2}[ \t]*$)?
            """
        ),
        _library(
            r"<?(?:std|core|alloc|backtrace|anyhow|eyre|color_eyre|tokio|futures\w*|hyper|actix\w*|axum|tower\w*"
            r"|rayon|test)(?:::|\s) | rust_ | __rust",
            r"/rustc/ | /\.cargo/ | library/(?:std|core|alloc)/",
        ),
        dropped=re.compile(r"::h[0-9a-f]{16}$|(?:::\{\{closure\}\})+"),
    ),
    Runtime(
        "Elixir",
        _frame(
            r"""
            ^[ \t]*+(?P<file>\([\w.]+(?:\ [\d][^)\n]*)?\)\ [^\s:]+):\d+:\ (?P<function>[^\n(]+)
            """
        ),
        _library(
            "",
            r"^\((?:elixir|stdlib|kernel|phoenix\w*|plug\w*|ecto\w*|cowboy\w*|bandit|ranch|logger|ex_unit"
            r"|db_connection|postgrex|oban|absinthe|telemetry|gen_stage)\b",
        ),
        dropped=re.compile(r"^anonymous fn/\d+ in "),
    ),
    Runtime(
        "Swift",
        _frame(
            r"""
            ^[ \t]*+\d+[ \t]+(?P<file>\S+)[ \t]+0x[0-9a-f]+\ (?P<function>[^\n]+?)
            (?:\ \+\ \d+)?[ \t]*$
            """
        ),
        _library(
            "",
            r"^(?:lib[\w+.-]+\.dylib|UIKit\w*|Foundation|Core\w+|SwiftUI|QuartzCore|GraphicsServices"
            r"|CFNetwork|AppKit|dyld\w*|\?\?\?)$",
        ),
    ),
    Runtime(
        "V8, Hermes",
        _frame(
            r"""
            ^[ \t]*+at\ (?:async\ )?(?:(?P<function>[^\n(]+)\ \()?(?:address\ at\ )?
            (?P<file>[^\n]*?)
            (?:(?::\d+){1,2}|(?<=[ (])(?:<anonymous>|native|index\ \d+))\)*[ \t]*$
            """
        ),
        _JAVASCRIPT_LIBRARY,
        cause=re.compile(r"^[ \t]*+(?:\[cause\]|Caused by): ", re.MULTILINE),
        dropped=re.compile(
            r"^(?:new |(?:Object|Module|Function|exports|window|Window|self"
            r"|globalThis|Proxy|process)\.)+"
            r"| \[as [^\]\n]*\]|<anonymous>|^(?:eval|anonymous)$"
        ),
    ),
    Runtime(
        "Firefox, Safari",
        _frame(
            r"""
            ^[ \t]*+(?:(?!\w+://)(?P<function>[^@\n]*)@)?
            (?:(?P<file>(?:(?<=@)|(?=[a-z][a-z0-9+.-]*:/))[^\n]*?)(?::\d+){1,2}|\[native\ code\])
            [ \t]*$
            """
        ),
        _JAVASCRIPT_LIBRARY,
        dropped=re.compile(
            r"^[^\n]*\*|(?:/<)+$|/(?=<|$)|^(?:global|eval|module) code$|^(?:anonymous|\?)$"
        ),
    ),
)

#: For stacks that no row recognises: a file and a line.
OTHER = Runtime(
    "any other",
    _frame(
        r"""
        (?<![\w./\\-])(?P<file>[\w./\\-]+\.[a-z]\w{0,4})(?::|\ line\ )\d+
        (?:[:\d]*\ in\ function\ ['<](?P<function>[^'>\n]+))?
        """
    ),
    _library("", r"/usr/(?:lib|share)/ | /vendor/ | node_modules"),
)
