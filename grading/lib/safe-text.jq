# Makes untrusted text safe to show on a terminal, in a page or in a sheet: without control characters (C0 except
# tab and newline, DEL and C1), bidirectional controls, line and paragraph separators, and what XML does not allow.
# Every step takes time proportional to the text: gsub does not, and a text may consist of nothing else.
def unsafe: . < 9 or (. > 10 and . < 32) or (. >= 127 and . <= 159) or . == 1564 or . == 8206 or . == 8207
    or (. >= 8232 and . <= 8238) or (. >= 8294 and . <= 8297) or . == 65534 or . == 65535;
def harmless: tostring
    | if test("[^\\t\\n\\x{20}-\\x{7e}\\x{a0}-\\x{61b}\\x{61d}-\\x{200d}\\x{2010}-\\x{2027}\\x{202f}-\\x{2065}\\x{206a}-\\x{fffd}\\x{10000}-\\x{10ffff}]")
      then explode | map(if unsafe then 65533 else . end) | implode else . end;
def all_harmless: if type == "string" then harmless elif type == "array" then map(all_harmless)
    elif type == "object" then map_values(all_harmless) else . end;
def one_line: harmless | if test("[\\t\\n]|  ")
    then explode | map(if . < 32 then 32 else . end) | implode | split(" ") | map(select(. != "")) | join(" ") else . end;
# escaped(WHICH) - a backslash before each character for which WHICH is true of its code point
def escaped(which): explode | [.[] | if which then 92, . else . end] | implode;
# longest_run(CHARACTER) - how often it occurs in a row at most
def longest_run($character): ($character | explode[0]) as $c
    | reduce explode[] as $x ([0, 0]; if $x == $c then [.[0] + 1, ([.[0] + 1, .[1]] | max)] else [0, .[1]] end) | .[1];
