# The targets that all labs share; every lab's Makefile includes this file. In a lab's directory:
#
#   make          builds ./server from server.c
#   make help     lists the other targets

PORT   ?= 9000
SOURCE ?= server.c
LEVEL  ?= 1
# Labs 6 to 8 query three backends; each answers after DELAY milliseconds.
BACKENDS ?= $(if $(filter lab06% lab07% lab08%,$(LAB)),9001 9002 9003)
DELAY  ?= 0
CC     := gcc
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Wpedantic -pthread \
          -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

GRADING := $(dir $(lastword $(MAKEFILE_LIST)))
LABS     = $(sort $(notdir $(patsubst %/,%,$(wildcard $(GRADING)../lab*/))))
LABS_UP_TO_THIS = $(shell printf '%s\n' $(LABS) | sed '/^$(LAB)$$/q')
PREVIOUS = $(lastword $(filter-out $(LAB),$(LABS_UP_TO_THIS)))

# Always rebuilt: the server may be that of a different SOURCE.
server: FORCE
	@[ -e "$(SOURCE)" ] || { echo "There is no file $(SOURCE) in this directory." >&2; exit 1; }
	@$(CC) $(CFLAGS) -o server "$(SOURCE)"

# The same, built with ThreadSanitizer: the second opinion of grading/grade on a data race.
server-tsan: FORCE
	@$(CC) $(CFLAGS) -fsanitize=thread -o server-tsan "$(SOURCE)"

run: server
	@$(if $(FAULTS),$(MAKE) -s -C $(GRADING)harness $(abspath $(GRADING).build/faults.so) \
	    BUILD=$(abspath $(GRADING).build);) \
	$(if $(FAULTS),LD_PRELOAD=$(abspath $(GRADING).build/faults.so) FAULTS=$(FAULTS)) \
	./server $(PORT) $(BACKENDS)

backends:
	@[ -n "$(BACKENDS)" ] || { echo "$(LAB) has no backends; labs 6 to 8 do." >&2; exit 1; }
	@trap 'kill $$(jobs -p) 2>/dev/null; wait' EXIT; trap 'exit 0' INT TERM; set -- $(BACKENDS); \
	$(GRADING)backend user "$$1" $(DELAY) & $(GRADING)backend query "$$2" $(DELAY) & \
	$(GRADING)backend stock "$$3" $(DELAY) & wait

test:
	@$(GRADING)grade $(addprefix --check ,$(CHECK)) \
	    $(if $(filter-out server.c,$(SOURCE)),--file "$(SOURCE)") $(LAB)

hint:
	@awk -v names="$$(awk -f $(GRADING)lib/list-checks.awk test.c | cut -d ' ' -f 2 | xargs)" \
	    -v check="$(CHECK)" -v level="$(LEVEL)" -v lab="$(LAB)" -f $(GRADING)lib/print-hint.awk \
	    hints.md $(filter-out ../$(LAB)/hints.md,../lab01-blocking/hints.md)

diff:
	@if [ -z "$(PREVIOUS)" ]; then echo "$(LAB) is the first lab: there is nothing to compare it with."; \
	else diff -u --color=auto "../$(PREVIOUS)/$(SOURCE)" "$(SOURCE)" || [ $$? = 1 ]; fi

watch:
	@command -v entr >/dev/null || \
	    { echo "make watch needs entr: apt-get install entr" >&2; exit 1; }
	@ls "$(SOURCE)" | entr -cn $(MAKE) --no-print-directory test

reset:
	@printf 'Replace server.c with the starter (yours is kept as server.c.~1~)? [y/N] '; \
	read -r answer; case "$$answer" in \
	[yY]*) cp --backup=numbered $(GRADING)starters/$(LAB).c server.c && echo "Done." ;; \
	*) echo "Nothing changed." ;; esac

clean:
	@rm -f server server-tsan

help:
	@echo "make                    build ./server from server.c"
	@echo "make run                start it on port 9000 (PORT=9001: on a different port)"
	@echo "make run FAULTS=eintr=2 ... with every second call of a function interrupted (EINTR);"
	@echo "                        short_send=7, short_recv=7: at most 7 bytes per call;"
	@echo "                        small_buffers: accepted sockets with the smallest send buffer;"
	@echo "                        never_drained=1: a client that never stops sending"
	@[ -z "$(BACKENDS)" ] || { \
	echo "make backends           start the three backends on ports $(BACKENDS)"; \
	echo "make backends DELAY=200 ... which take 200 milliseconds for each answer"; }
	@echo "make test               grade it; CHECK=half_close: only that check and those it needs"
	@echo "make watch              grade it each time you save server.c"
	@echo "make hint CHECK=stop    print a hint for a check; LEVEL=2, LEVEL=3: more detailed ones"
	@echo "make diff               show the changes since the previous lab"
	@echo "make reset              restore the starter, after asking"
	@echo "make clean              remove the server"
	@[ ! -e solution.c ] || echo "With SOURCE=solution.c, these commands use the reference solution."

FORCE:
.DEFAULT_GOAL := server
SHELL := /bin/bash
.PHONY: run backends test hint diff watch reset clean help FORCE
