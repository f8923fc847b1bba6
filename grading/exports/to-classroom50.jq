# Converts the result of one lab to Classroom 50's result.json, schema classroom50/result/v1.
# The contract: https://github.com/foundation50/classroom50/wiki/Advanced-Autograding
# The runner passes names and URLs in the environment, and adds owner and assignment_type itself.
{
  schema: "classroom50/result/v1",
  classroom: env.CLASSROOM, assignment: env.ASSIGNMENT, submission: env.SUBMISSION_TAG,
  commit: env.COMMIT_URL, release: env.RELEASE_URL,
  review: (env.REVIEW_URL // "" | if . == "" then env.COMMIT_URL else . end),
  datetime: (now | todate),
  score, "max-score": .max,
  tests: (if .verdict == "graded" then [.checks[]
      | {"test-name": .name, passed: (.status == "passed"), score, "max-score": .points}]
    else [{"test-name": .verdict, passed: false, score: 0, "max-score": .max}] end)
} + if .sandbox == false then {sandbox} else {} end
