# What every lab's Makefile includes. In a lab's folder:
#
#   make          builds ./server from server.c
#   make help     lists the rest

PORT   ?= 9000
SOURCE ?= server.c
LEVEL  ?= 1
# Labs 6 to 8 ask three backends; DELAY: how many milliseconds each of them thinks.
BACKENDS ?= $(if $(filter lab06% lab07% lab08%,$(LAB)),9001 9002 9003)
DELAY  ?= 0
CC     := gcc
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Wpedantic -pthread \
          -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

GRADING := $(dir $(lastword $(MAKEFILE_LIST)))
BEFORE   = $(lastword $(filter-out $(LAB),$(filter $(LABS_UP_TO_HERE),$(LABS))))
LABS     = $(sort $(notdir $(patsubst %/,%,$(wildcard $(GRADING)../lab*/))))
# sorted by name: all that stand before this one, and this one
LABS_UP_TO_HERE = $(shell printf '%s\n' $(LABS) | sed '/^$(LAB)$$/q')

# Always built anew: SOURCE may have changed since, and it takes a moment only.
server: FORCE
	@[ -e "$(SOURCE)" ] || { echo "There is no $(SOURCE) here." >&2; exit 1; }
	@$(CC) $(CFLAGS) -o server "$(SOURCE)"

run: server
	@$(if $(FAULTS),$(MAKE) -s -C $(GRADING)harness $(abspath $(GRADING).build/faults.so) \
	    BUILD=$(abspath $(GRADING).build);) \
	$(if $(FAULTS),LD_PRELOAD=$(abspath $(GRADING).build/faults.so) FAULTS=$(FAULTS)) \
	./server $(PORT) $(BACKENDS)

backends:
	@[ -n "$(BACKENDS)" ] || { echo "$(LAB) asks no backends: labs 6 to 8 do." >&2; exit 1; }
	@trap 'kill $$(jobs -p) 2>/dev/null; wait' EXIT; trap 'exit 0' INT TERM; set -- $(BACKENDS); \
	$(GRADING)backend user "$$1" $(DELAY) & $(GRADING)backend query "$$2" $(DELAY) & \
	$(GRADING)backend stock "$$3" $(DELAY) & wait

test:
	@$(GRADING)grade $(addprefix --check ,$(CHECK)) \
	    $(if $(filter-out server.c,$(SOURCE)),--file "$(SOURCE)") $(LAB)

hint:
	@awk -v names="$$(awk -f $(GRADING)checks.awk test.c | cut -d ' ' -f 2 | xargs)" \
	    -v check="$(CHECK)" -v level="$(LEVEL)" -v lab="$(LAB)" -f $(GRADING)hint.awk \
	    hints.md $(filter-out ../$(LAB)/hints.md,../lab01-blocking/hints.md)

diff:
	@if [ -z "$(BEFORE)" ]; then echo "$(LAB) is the first lab: there is none before it."; \
	else diff -u --color=auto "../$(BEFORE)/$(SOURCE)" "$(SOURCE)" || [ $$? = 1 ]; fi

watch:
	@command -v entr >/dev/null || \
	    { echo "make watch needs entr: apt-get install entr" >&2; exit 1; }
	@ls "$(SOURCE)" | entr -cn $(MAKE) --no-print-directory test

reset:
	@printf 'server.c becomes the starter again. Yours is kept as server.c.~1~. Sure? [y/N] '; \
	read -r answer && case "$$answer" in \
	[yY]*) cp --backup=numbered $(GRADING)starters/$(LAB).c server.c && echo "Done." ;; \
	*) echo "Nothing changed." ;; esac

clean:
	@rm -f server

help:
	@echo "make                    builds ./server from server.c"
	@echo "make run                starts it on port 9000 (another: PORT=9001)"
	@echo "make run FAULTS=eintr=2 ... with calls interrupted; short_send=7, short_recv=7: pieces;"
	@echo "                        small_buffers: no room to send; never_drained=1: who never stops"
	@[ -z "$(BACKENDS)" ] || { \
	echo "make backends           starts the three backends on ports $(BACKENDS)"; \
	echo "make backends DELAY=200 ... each of which thinks for 200 milliseconds"; }
	@echo "make test               grades it; CHECK=half_close: that check and what it needs"
	@echo "make watch              grades it again each time you save server.c"
	@echo "make hint CHECK=stop    a deeper hint than the failure gave; LEVEL=2, 3: deeper still"
	@echo "make diff               what is different from the lab before"
	@echo "make reset              brings the starter back, after asking"
	@echo "make clean              removes what make built"
	@[ ! -e solution.c ] || echo "Each takes SOURCE=solution.c as well, for the reference."

FORCE:
.DEFAULT_GOAL := server
SHELL := /bin/bash
.PHONY: run backends test hint diff watch reset clean help FORCE
