# Makes untrusted text safe to show: without control characters and bidirectional overrides.
def harmless: tostring | gsub("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\x{200e}\\x{200f}\\x{202a}-\\x{202e}\\x{2066}-\\x{2069}]"; "\ufffd");
def one_line: harmless | gsub("\\s+"; " ");
def note: if .verdict == "missing" then .problem
    elif .verdict == "does-not-compile" then "does not compile"
    elif .verdict == "error" then "the grader failed: grade again"
    else empty end;
