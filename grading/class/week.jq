# What the weeks of a course add to a result: attempts, lateness, changed points.
include "safe-text";

# The attempts that are graded, of one student's record of one lab, and the file of each one's result.
def versions: if .attempts then (del(.attempts) | .several = true), (.attempts[] | .several = true) else . end;
def result_file($lab): ($lab | split("-")[0]) + (if .several then ".attempt-\(.attempt)" else "" end) + ".json";

def tenth: . * 10 | round / 10;
def days: if . == 1 then "1 day" else "\(.) days" end;

# late: {days, percent}; override: {points, reason}. The points that they replace are kept in .graded.
def with_lateness: if .late.days and .late.percent > 0 and .score != null
    then .graded = .score | .score = ([.score * (100 - .late.percent * .late.days) / 100, 0] | max | tenth)
    else . end;
def with_override: if .override then .graded = .score | .score = .override.points else . end;

def points: if . == 1 then "1 point" else "\(.) points" end;
def remarks: [
    (.name // empty | "graded \(tojson)"),
    (if .of then "attempt \(.attempt) of \(.of)" + (if .when then ", \(.when)" else "" end) else empty end),
    (if .late == null then empty
     elif .late.days == null then "late" + (if .late.percent > 0
        then "; the download does not record by how many days, so nothing was deducted" else "" end)
     else "late by \(.late.days | days)" + (if .late.percent > 0 then ", \(.late.percent)% deducted for each"
        + (if .graded != null and .override == null then " (graded: \(.graded | points))" else "" end) else "" end) end),
    (if .override then "changed to \(.override.points | points) (graded: \(if .graded == null then "no points" else .graded | points end)): \(.override.reason)"
     else empty end),
    (if .kept then "not in this download: the earlier result is kept" else empty end)];
def note: if .verdict == "missing" then .problem
    elif .verdict == "does-not-compile" then "does not compile"
    elif .verdict == "error" then "the grader failed: grade again"
    else empty end;
def notes: [note] + remarks | join("; ");
