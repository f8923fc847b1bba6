INPUT(/ grader / lab01 - blocking / solution.o) OUTPUT(/ work / result.json) SEARCH_DIR(/ grader)
