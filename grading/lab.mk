# The targets that all labs share; every lab's Makefile includes this file. In a lab's directory:
#
#   make          builds ./server from server.c
#   make help     lists the other targets

PORT   ?= 9000
SOURCE ?= server.c
LEVEL  ?= 1
# The language of the hints: ko or en.
HINTS  ?= $(if $(filter ko ko_% ko.% ko@%,$(or $(LC_ALL),$(LC_MESSAGES),$(LANG))),ko,en)
# Labs 6 to 8 query three backends; each answers after DELAY milliseconds, and ANSWERS says how.
BACKENDS ?= $(if $(filter lab06% lab07% lab08%,$(LAB)),9001 9002 9003)
DELAY  ?= 0
ANSWERS ?= whole
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

# The same, built with ThreadSanitizer: the second opinion of grading/grade on a data race. So the source must not
# see that it is, nor leave functions out.
server-tsan: FORCE
	@$(CC) $(CFLAGS) -fsanitize=thread -U__SANITIZE_THREAD__ '-Dno_sanitize(...)=' '-D__no_sanitize__(...)=' \
	    -Dno_sanitize_thread= -D__no_sanitize_thread__= -o server-tsan "$(SOURCE)"

# The same for gdb: with all variables and all calls, and beside ./server, which make run may replace.
server-debug: FORCE
	@[ -e "$(SOURCE)" ] || { echo "There is no file $(SOURCE) in this directory." >&2; exit 1; }
	@$(CC) $(filter-out -O% -D_FORTIFY_SOURCE%,$(CFLAGS)) -O0 -o server-debug "$(SOURCE)"

# The same for grading/trace: each call has its line, and frame pointers lead to its callers.
server-trace: FORCE
	@$(CC) $(filter-out -O% -D_FORTIFY_SOURCE%,$(CFLAGS)) -O0 -fno-omit-frame-pointer -o server-trace "$(SOURCE)"

# The lock is that of grading/grade, which may be running in a different terminal.
build_faults = $(if $(FAULTS),mkdir -p $(GRADING).build && \
    MAKEFLAGS= flock $(GRADING).build bash $(GRADING)lib/build-harness $(GRADING).build faults.so &&)

run: server
	@$(build_faults) \
	$(if $(FAULTS),LD_PRELOAD=$(GRADING).build/faults.so FAULTS='$(FAULTS)') \
	$(TOOL) ./server $(PORT) $(BACKENDS) || { status=$$?; \
	if (exec 3<>/dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null; then \
	    echo "Port $(PORT) is in use. To choose a different one: make run PORT=$$(($(PORT) + 100))," \
	        "or export PORT=$$(($(PORT) + 100)) in each terminal." >&2; \
	fi; exit $$status; }

# The server only writes to the terminal (descriptor 9), and gdb keeps it. So Ctrl-C interrupts one process, and not
# each child of lab 2 for itself. SHELL: gdb starts the server with it.
debug: server-debug
	@. $(GRADING)lib/install-packages.bash; need "gdb:gdb with Python"; \
	$(build_faults) \
	SHELL=/bin/sh gdb -q -x $(GRADING)lib/debug.py -ex 'set inferior-tty /dev/null' \
	    -ex 'set args $(PORT) $(BACKENDS) >&9 2>&9 9>&-' \
	    $(if $(FAULTS),-ex 'set exec-wrapper env FAULTS=$(FAULTS) LD_PRELOAD=$(GRADING).build/faults.so') \
	    $(GDBFLAGS) ./server-debug 9>&1

# Found by its port: on a machine with several users, a name is ambiguous. For ss, port 0 is any port.
pid:
	@[ "$(PORT)" -gt 0 ] 2>/dev/null || { echo "PORT must be the number of the server's port." >&2; exit 1; }
	@ss -Hltnp 'sport = :$(PORT)' | grep -o 'pid=[0-9]*' | cut -d = -f 2 | sort -n | head -n 1 | \
	    grep . || { echo "No server of yours listens on port $(PORT)." >&2; exit 1; }

backends:
	@[ -n "$(BACKENDS)" ] || { echo "$(LAB) has no backends; labs 6 to 8 do." >&2; exit 1; }
	@. $(GRADING)lib/install-packages.bash; need socat:socat; \
	trap 'kill $$(jobs -p) 2>/dev/null; wait' EXIT; trap 'exit 0' INT TERM; set -- $(BACKENDS); \
	for name in user query stock; do bash $(GRADING)backend $$name "$$1" $(DELAY) $(ANSWERS) & shift; done; \
	wait -n

# For clangd and other editors: how the files of this lab are compiled. A server that does not compile is
# listed as well. (A proxy for everything would also be used for bear's own connections.)
compile_commands.json: FORCE
	@. $(GRADING)lib/install-packages.bash; need bear:bear; \
	export CC="$(CC)" CFLAGS="$(CFLAGS)" no_proxy=localhost,127.0.0.1; \
	bear --output $@ -- bash -c 'for source in server.c solution.c; do \
	    [ ! -e $$source ] || $$CC $$CFLAGS -fsyntax-only $$source; done; \
	    $$CC $$CFLAGS -D_GNU_SOURCE -I$(GRADING)harness -fsyntax-only test.c; exit 0' && \
	echo "compile_commands.json is up to date."

# In a copy of the lab's directory, the copy is graded, and its score is not kept.
test:
	@GRADE_KEEP_SCORE=yes GRADE_CC="$(CC)" GRADE_SOURCE="$(SOURCE)" \
	    bash $(GRADING)grade --strict $(addprefix --check ,$(CHECK)) \
	    $(if $(filter-out server.c,$(SOURCE)),--file "$(SOURCE)",$$([ . -ef "$(GRADING)../$(LAB)" ] || \
	        echo --file server.c)) $(LAB)

trace:
	@bash $(GRADING)trace $(if $(CHECK),--check "$(CHECK)") --file "$(SOURCE)" --output . $(LAB)

# Those of this lab, then lab 1's: checks that all labs have are there. In English if there are none in HINTS.
hints_in = $(firstword $(wildcard $(1)/hints.$(HINTS).md $(1)/hints.md))
hint:
	@awk -v names="$$(awk -f $(GRADING)lib/list-checks.awk test.c | cut -d ' ' -f 2 | xargs)" \
	    -v check="$(CHECK)" -v level="$(LEVEL)" -v lab="$(LAB)" \
	    -v language="$(if $(filter command,$(origin HINTS)), HINTS=$(HINTS))" -f $(GRADING)lib/print-hint.awk \
	    $(call hints_in,.) $(if $(filter-out lab01-blocking,$(LAB)),$(firstword \
	    $(call hints_in,../lab01-blocking) $(call hints_in,$(GRADING)lib)))

diff:
	@if [ -z "$(PREVIOUS)" ]; then echo "$(if $(filter lab01%,$(LAB)),$(LAB) is the first \
	lab,The lab before $(LAB) is not here): there is nothing to compare it with."; \
	elif [ ! -e "../$(PREVIOUS)/$(SOURCE)" ]; then \
	echo "There is no $(PREVIOUS)/$(SOURCE) to compare with." >&2; exit 1; \
	else diff -u --color=auto "../$(PREVIOUS)/$(SOURCE)" "$(SOURCE)" || [ $$? = 1 ]; fi

watch:
	@command -v entr >/dev/null || \
	    { echo "make watch needs entr: apt-get install entr" >&2; exit 1; }
	@ls "$(SOURCE)" | entr -cn make --no-print-directory test

reset:
	@printf 'Replace server.c with the starter (yours is kept as server.c.~1~)? [y/N] '; \
	read -r answer; case "$$answer" in \
	[yY]*) cp --backup=numbered $(GRADING)starters/$(LAB).c server.c && echo "Done." ;; \
	*) echo "Nothing changed." ;; esac

clean:
	@rm -f server server-tsan server-debug compile_commands.json trace.html trace.svg trace.json trace.perfetto.json

help:
	@echo "make                    build ./server from server.c"
	@echo "make run                start it on port 9000 (PORT=9001: on a different port)"
	@echo "make run FAULTS=eintr=2 ... with every second call of a function interrupted (EINTR);"
	@echo "                        short_send=7, short_recv=7: at most 7 bytes per call;"
	@echo "                        small_buffers: accepted sockets with the smallest send buffer;"
	@echo "                        never_drained=1: a client that never stops sending"
	@echo "make run TOOL=valgrind  ... under a tool"
	@echo "make debug              the server in gdb, with a breakpoint at serve_client; FAULTS as above;"
	@case $(LAB) in lab08*) \
	echo "                        coroutines: a gdb command that lists them and their call stacks";; esac
	@echo "make pid                print the process id of the server that listens on port 9000"
	@[ -z "$(BACKENDS)" ] || { \
	echo "make backends           start the three backends on ports $(BACKENDS)"; \
	echo "make backends DELAY=200 ... which take 200 milliseconds for each answer;"; \
	echo "                        ANSWERS=pieces, slowly, half, none, long: ../grading/backend --help"; }
	@echo "make test               grade it, and show your progress and the next step;"
	@echo "                        CHECK=half_close: only that check"
	@echo "make trace              draw who waits for whom in it; CHECK=silent_client: in that check"
	@echo "make watch              grade it each time you save server.c"
	@echo "make hint CHECK=stop    print a hint for a check; LEVEL=2, LEVEL=3: more detailed ones"
	@echo "make hint HINTS=ko      ... in Korean, as in a Korean locale; HINTS=en: in English"
	@echo "make diff               show the changes since the previous lab"
	@echo "make reset              restore the starter, after asking"
	@echo "make compile_commands.json"
	@echo "                        for clangd in your editor: how the files here are compiled"
	@echo "make clean              remove what make has built"
	@[ ! -e solution.c ] || echo "With SOURCE=solution.c, these commands use the reference solution."

FORCE:
.DEFAULT_GOAL := server
SHELL := /bin/bash
.PHONY: run debug pid backends test trace hint diff watch reset clean help FORCE
