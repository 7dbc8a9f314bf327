# Everything a newcomer runs. How the module is built stands in the rockspec alone.

LUA      := lua5.4
LUAROCKS := luarocks --lua-version=5.4
ROCKSPEC := shm-dev-1.rockspec
VERSION  := 0.1.0
RELEASE  := shm-$(VERSION)-1.rockspec
TREE     := lua_modules
PREFIX   ?= /usr/local
HOST     ?= 127.0.0.1
PORT     ?= 9523
SOAK_SECONDS ?= 60
BOUND_SECONDS ?= 1800

SOURCES := $(ROCKSPEC) $(shell find src lua -name '*.[ch]' -o -name '*.lua')

# Where a script finds the module without its being installed: Lua here, C in the tree, and
# then wherever it would have looked. Lua prefers the names that end in its version.
lua_path  = $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$${LUA_PATH_5_4:-$${LUA_PATH:-;;}}
lua_cpath = $(CURDIR)/$(1)/lib/lua/5.4/?.so;$${LUA_CPATH_5_4:-$${LUA_CPATH:-;;}}
lua_env   = LUA_PATH="$(lua_path)" LUA_PATH_5_4="$(lua_path)" \
            LUA_CPATH="$(lua_cpath)" LUA_CPATH_5_4="$(lua_cpath)"

# package=probe; a package is missing when its probe fails, wherever it would come from.
BUILD_DEPS := lua5.4='command -v lua5.4' \
              liblua5.4-dev='test -e /usr/include/lua5.4/lua.h || test -e /usr/local/include/lua.h' \
              luarocks='command -v luarocks' \
              gcc='command -v gcc' \
              libc6-dev='echo "\#include <sys/shm.h>" | gcc -E -'
DEMO_DEPS  := $(BUILD_DEPS) \
              lua-cqueues='lua5.4 -lcqueues -v' \
              lua-argparse='lua5.4 -largparse -v' \
              util-linux='command -v ipcs' \
              netcat-openbsd='command -v nc'
TEST_DEPS  := $(DEMO_DEPS) \
              lua-busted='lua5.4 -lbusted -v' \
              lua-socket='lua5.4 -lsocket -v' \
              lua-luv='lua5.4 -lluv -v' \
              lua-check='command -v luacheck' \
              strace='command -v strace' \
              python3='python3 -c "import multiprocessing.shared_memory"' \
              python3-msgpack='python3 -c "import msgpack" || /usr/bin/python3 -c "import msgpack"' \
              python3-sysv-ipc='python3 -c "import sysv_ipc" || /usr/bin/python3 -c "import sysv_ipc"'
CHECK_DEPS := $(TEST_DEPS) \
              clang='command -v clang' \
              libclang-rt-dev='test -e "$$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" || ls /usr/lib/llvm*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*' \
              clang-format='command -v clang-format' \
              spin='command -v spin' \
              valgrind='command -v valgrind' \
              liblmdb-dev='echo "\#include <lmdb.h>" | gcc -E -'

# LDoc's own command takes any Lua; here lua5.4 runs it.
DOC_DEPS   := lua5.4='command -v lua5.4' \
              lua-ldoc='command -v ldoc && lua5.4 -lldoc.doc -v'

# Only what is measured against; without one of them its rows are left out.
BENCH_DEPS := $(BUILD_DEPS) \
              lua-cqueues='lua5.4 -lcqueues -v' \
              lua-socket='lua5.4 -lsocket.unix -v' \
              python3='command -v python3' \
              redis-server='command -v redis-server' \
              g++='command -v g++' \
              libboost-dev='echo "\#include <boost/version.hpp>" | g++ -E -x c++ -' \
              liblmdb-dev='echo "\#include <lmdb.h>" | gcc -E -' \
              nginx='command -v nginx || test -x /usr/sbin/nginx' \
              libnginx-mod-http-lua='test -e /usr/lib/nginx/modules/ngx_http_lua_module.so'
PLOT_DEPS  := gnuplot-nox='command -v gnuplot'

# Bounds a run that hangs, and lets Ctrl-C through. Where it is allowed, System V objects are
# the run's own: the specs count them.
PRIVATE  := $(shell unshare --ipc true 2>/dev/null && echo unshare --ipc)
BOUND    := timeout --foreground --kill-after=10 $(BOUND_SECONDS) $(PRIVATE)

# $(call need,DEPS) installs what the machine lacks of DEPS, or says what to install. No
# service is started for being installed.
define need
@probe() { \
    missing=; for dep in $(1); do \
        sh -c "$${dep#*=}" >/dev/null 2>&1 || missing="$$missing $${dep%%=*}"; \
    done; [ -z "$$missing" ]; \
}; \
probe && exit 0; \
if ! command -v apt-get >/dev/null; then \
    echo "shm needs these; please install them (names as in Debian):$$missing" >&2; exit 1; \
elif [ "$$(id -u)" = 0 ]; then as_root=; \
elif command -v sudo >/dev/null; then as_root=sudo; \
else echo "shm needs these; as root, run: apt-get install$$missing" >&2; exit 1; fi; \
echo "installing from Debian:$$missing"; \
log=$$(mktemp); \
if $$as_root apt-get update -qq >"$$log" 2>&1 && \
   $$as_root env DEBIAN_FRONTEND=noninteractive \
       RUNLEVEL=1 SYSTEMD_OFFLINE=1 \
       apt-get install -y -qq --no-install-recommends $$missing >>"$$log" 2>&1; \
then rm -f "$$log"; else cat "$$log" >&2; rm -f "$$log"; exit 1; fi; \
probe || { echo "installed, and still not found:$$missing" >&2; exit 1; }
endef

# $(call luarocks,WORDS) is LuaRocks, whose words show only when it fails.
define luarocks
@log=$$(mktemp); \
if $(LUAROCKS) $(1) >"$$log" 2>&1; \
then rm -f "$$log"; else cat "$$log" >&2; rm -f "$$log"; exit 1; fi
endef

# $(call rock,TREE,VARIABLES) builds the rock into a tree.
rock = $(call luarocks,--tree=$(1) make --deps-mode=one $(ROCKSPEC) $(2))

.PHONY: help
help:
	@echo 'make demo     install what is missing, build, and show the chat, talks, and what kill -9 leaves'
	@echo 'make test     install what is missing, build, and run every spec'
	@echo 'make soak     kill and restart who takes turns, for SOAK_SECONDS ($(SOAK_SECONDS)), then every user of furniture and protocols'
	@echo 'make bench    measure, each work beside what it is compared with; BENCH="words" picks'
	@echo 'make plots    measure, and write bench/plots/*.svg and the tables in README; redraw: from the last'
	@echo 'make chat     run the chat server on HOST ($(HOST)) and PORT ($(PORT))'
	@echo 'make build    build here; then: eval "$$(make -s env)" and lua5.4 finds the module'
	@echo 'make env      print the LUA_PATH and LUA_CPATH for that'
	@echo 'make doc      the guides and the reference as a site, in build/doc'
	@echo 'make install  put the rock into the LuaRocks tree PREFIX ($(PREFIX))'
	@echo 'make uninstall removes it from there'
	@echo 'make check    the longer checks: compiler, linters, models (check-model), sanitizers, valgrind'
	@echo 'make fuzz     every operation among scribble: FUZZ_SECONDS ($(FUZZ_SECONDS)) of locks, 100 million of furniture'
	@echo 'make clean    remove what was built'

.PHONY: build
build: $(TREE)/built
	@echo 'built; for this shell: eval "$$(make -s env)"'

$(TREE)/built: $(SOURCES)
	$(call need,$(BUILD_DEPS))
	$(call rock,$(TREE))
	@touch $@

.PHONY: env
env:
	@[ -e $(TREE)/lib/lua/5.4/shm/core.so ] || echo 'not built yet: make build' >&2
	@printf 'export %s="%s"\n' LUA_PATH "$(lua_path)" LUA_PATH_5_4 "$(lua_path)" \
	    LUA_CPATH "$(call lua_cpath,$(TREE))" LUA_CPATH_5_4 "$(call lua_cpath,$(TREE))"

# A single quote among what single quotes are around.
QUOTE := '"'"'

.PHONY: install
install:
	$(call need,$(BUILD_DEPS))
	$(call luarocks,--tree='$(PREFIX)' make --deps-mode=one $(RELEASE))
	@echo 'installed; for this shell: eval "$$($(LUAROCKS) --tree=$(QUOTE)$(PREFIX)$(QUOTE) path)"'
	@echo 'to remove it: make uninstall PREFIX=$(QUOTE)$(PREFIX)$(QUOTE)'

# LuaRocks leaves the list of what is installed, also where it is empty.
.PHONY: uninstall
uninstall:
	$(call luarocks,--tree='$(PREFIX)' remove shm)
	@cd '$(PREFIX)' && if ! ls -d lib/luarocks/rocks-5.4/*/ >/dev/null 2>&1; then \
	     rm -f lib/luarocks/rocks-5.4/manifest && \
	     rmdir -p --ignore-fail-on-non-empty lib/luarocks/rocks-5.4; \
	 fi
	@echo 'removed from $(PREFIX)'

# The release's rockspec is the other one, but for the version and where its source is.
.PHONY: release
release:
	@sed 's/^version = .*/version = "$(VERSION)-1"/; s/^   url = .*/&\n   tag = "v$(VERSION)",/' \
	    $(ROCKSPEC) >$(RELEASE)
	@echo '$(RELEASE)'

.PHONY: demo-deps test-deps check-deps bench-deps doc-deps plot-deps
demo-deps: ; $(call need,$(DEMO_DEPS))
test-deps: ; $(call need,$(TEST_DEPS))
check-deps: ; $(call need,$(CHECK_DEPS))
bench-deps: ; -$(call need,$(BENCH_DEPS))
doc-deps: ; $(call need,$(DOC_DEPS))
plot-deps: ; $(call need,$(PLOT_DEPS))

.PHONY: doc
doc: doc-deps
	@$(LUA) spec/doc/site.lua build/doc
	@echo 'build/doc/index.html'

.PHONY: demo
demo: demo-deps $(TREE)/built
	@$(call lua_env,$(TREE)) $(LUA) examples/demo.lua

.PHONY: chat
chat: demo-deps $(TREE)/built
	@exec env $(call lua_env,$(TREE)) $(LUA) lua/shm/command.lua serve --host '$(HOST)' --port '$(PORT)'

.PHONY: test
test: test-deps $(TREE)/built
	@$(call lua_env,$(TREE)) $(BOUND) $(LUA) spec/run.lua || { status=$$?; [ $$status != 124 ] || \
	    printf '\nmake test: %s\n' 'not done after $(BOUND_SECONDS) s; BOUND_SECONDS=3600 gives it longer' >&2; \
	    exit $$status; }

.PHONY: soak
soak: $(TREE)/built
	@env $(call lua_env,$(TREE)) SOAK_SECONDS='$(SOAK_SECONDS)' $(LUA) spec/soak.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/model_map.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/model_furniture.lua
	@env $(call lua_env,$(TREE)) $(PRIVATE) $(LUA) spec/soak_peer.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/rpc_soak.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/durable_soak.lua 1000
	@env $(call lua_env,$(TREE)) $(LUA) spec/replica_storm.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/exclusion_soak.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/lab_soak.lua
	@env $(call lua_env,$(TREE)) $(LUA) spec/chat_deaths.lua 1000

# What is compared with is C and C++, too; what can not be built is left out.
BENCH_BUILT := build/bench/limits.so build/bench/lmdb.so build/bench/boost \
               build/bench/chat_clients build/bench/chat_textbook
bench_run   := $(call lua_env,$(TREE)) $(LUA) bench/run.lua

.PHONY: bench bench-build plots redraw
bench: bench-deps bench-build
	@$(bench_run) $(BENCH)

bench-build: build $(BENCH_BUILT)

plots: bench-deps plot-deps bench-build
	@$(bench_run) --csv bench/plots/results.csv
	@$(MAKE) --no-print-directory redraw

redraw: plot-deps
	@$(LUA) bench/redraw.lua

build/bench/limits.so: $(wildcard bench/limits/*.[ch]) src/bind/bind.h src/mem/mem.h
	@mkdir -p build/bench
	@gcc -O2 -fPIC -shared -std=c11 -D_GNU_SOURCE -Isrc -I/usr/include/lua5.4 \
	     $(filter %.c,$^) -o $@

build/bench/lmdb.so: bench/peers/lmdb.c
	@mkdir -p build/bench
	@! echo '#include <lmdb.h>' | gcc -E - >/dev/null 2>&1 || \
	 gcc -O2 -fPIC -shared -std=c11 -I/usr/include/lua5.4 $< -o $@ -llmdb

build/bench/boost: bench/peers/boost.cpp
	@mkdir -p build/bench
	@! echo '#include <boost/version.hpp>' | g++ -E -x c++ - >/dev/null 2>&1 || \
	 g++ -O2 -std=c++17 $< -o $@ -lrt -pthread

build/bench/chat_clients: bench/chat_clients.c
	@mkdir -p build/bench
	@gcc -O2 -std=c11 -D_GNU_SOURCE $< -o $@

# The textbook's server, with room for as many clients as ours has.
build/bench/chat_textbook: spec/textbook/chat.c
	@mkdir -p build/bench
	@gcc -O2 -std=c11 -D_GNU_SOURCE -DPROCESS_LIMIT=4194304 -DEVENTS=EPOLLIN -DQUEUE=1024 $< -o $@

# The longer checks. Each says what it is; the suites end with their own counts.
STRICT   := -std=c11 -D_GNU_SOURCE -Isrc -I/usr/include/lua5.4 -fsyntax-only -Werror \
            -Wall -Wextra -Wshadow -Wunused-macros -Wstrict-prototypes -Wmissing-prototypes
SANITIZE := -fsanitize=address,undefined -fno-omit-frame-pointer

.PHONY: check check-source check-doc check-model check-sanitizers check-threads check-handover fuzz fuzz-locks fuzz-furniture check-valgrind
check: check-source check-doc check-model check-sanitizers check-threads check-handover check-fuzz check-valgrind

check-source: check-deps
	@echo 'compiler, clang-format, luacheck, luarocks lint'
	@gcc $(STRICT) -Wconversion $(wildcard src/os/*.c src/mem/*.c)
	@gcc $(STRICT) src/bind/*.c bench/*.c bench/limits/*.c bench/peers/*.c
	@gcc $(STRICT) -Ispec/c spec/c/*.c
	@clang-format --dry-run --Werror src/*/*.[ch] bench/*.c bench/*/*.[ch] bench/*/*.cpp spec/c/*.[ch]
	@luacheck --quiet .
	@$(LUAROCKS) lint $(ROCKSPEC)
	@$(LUAROCKS) lint $(RELEASE)

check-doc: doc-deps
	@echo 'the site: an entry for each function, no link that leads nowhere'
	@$(LUA) spec/doc/site.lua build/doc
	@$(LUA) spec/doc/check.lua build/doc

check-model: check-deps
	@echo 'the protocols of src/sync, of buckets and of replicas, as models that spin searches'
	@sh spec/model/check.sh build/model

# What watches C has a spec in a process of its own, two at a time where the System V objects of
# each are its own; the longest first, so that in the end none is waited for alone. What a
# program would leave for the next spec in its process, `make test` finds.
#
# Left out is what teaches it nothing that `make test` has not: documents and packages, and the
# laboratory's checker, which is Lua on tables of its own. lab_run, lab_real and lab_accepts have
# real processes and objects, and stay.
LUA_ALONE := bench doc guides install layers layouts readme release \
             lab lab_corpus lab_draw lab_exclusion lab_kernel lab_kinds lab_litmus lab_sync
LONGEST   := chat value peer_duplex languages survival chat_rooms random chat_client map_change \
             arena arena_survival map_survival lab_run lab_real queue chaos
SPECS      = $(patsubst spec/%_spec.lua,%,$(wildcard spec/*_spec.lua))
WATCHED    = $(filter-out $(LUA_ALONE),$(filter $(SPECS),$(LONGEST)) $(filter-out $(LONGEST),$(SPECS)))

# $(call watch,SPECS,ENVIRONMENT AND COMMAND) runs lua5.4 behind that.
watch = @printf '%s\n' $(1) | xargs -P $(if $(PRIVATE),2,1) -I {} sh -c 'said=$$(mktemp); began=$$(date +%s); \
     $(2) $(LUA) spec/run.lua --output=plainTerminal spec/{}_spec.lua >$$said 2>&1 </dev/null; \
     status=$$?; echo "{}, $$(($$(date +%s) - began)) s"; cat $$said; rm -f $$said; exit $$status'

check-sanitizers: check-deps $(TREE)/built
	@echo 'the suite under AddressSanitizer and UndefinedBehaviorSanitizer'
	@mkdir -p build && rm -f build/sanitizer.*
	$(call rock,build/asan,CFLAGS='-O1 -g -fPIC $(SANITIZE)' LIBFLAG='-shared $(SANITIZE)')
	$(call watch,$(WATCHED), \
	    ASAN_OPTIONS=detect_leaks=0:log_path=$(CURDIR)/build/sanitizer \
	    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:log_path=$(CURDIR)/build/sanitizer \
	    SHM_SPEC_SHARE=10 SHM_SPEC_PATIENCE=5 $(call lua_env,build/asan) \
	    $(BOUND) env LD_PRELOAD=$$(gcc -print-file-name=libasan.so))
	@! cat build/sanitizer.* 2>/dev/null

# Floors 0 to 3 without Lua: each of spec/c is a program.
C_SOURCES = $(wildcard src/os/*.c src/mem/*.c src/sync/*.c src/ds/*.c)
FUZZ_SECONDS ?= 60
comma := ,
c_spec = @mkdir -p build/c && gcc -std=c11 -D_GNU_SOURCE -Isrc -Ispec/c -g $(2) \
         -o build/c/$(1) spec/c/$(1).c $(C_SOURCES) -pthread

check-threads: check-deps
	@echo 'threads that take turns, under ThreadSanitizer; kill -9 of processes that do'
	$(call c_spec,threads,-O1 -fsanitize=thread)
	@$(BOUND) build/c/threads
	$(call c_spec,kills,-O2)
	@$(BOUND) build/c/kills
	$(call c_spec,heap,-O2)
	@$(BOUND) build/c/heap

# The linker puts the program between the objects and the kernel's futexes.
check-handover: check-deps
	@echo 'ten million hand-overs'
	$(call c_spec,handover,-O2 \
	    -Wl$(comma)--wrap=os_futex_wait$(comma)--wrap=os_futex_wait_any$(comma)--wrap=os_futex_wake)
	@$(BOUND) build/c/handover

.PHONY: check-fuzz
check-fuzz: fuzz-locks fuzz-furniture

# By itself it takes the hundred million operations that it takes to be sure.
fuzz: fuzz-locks
	@$(MAKE) --no-print-directory fuzz-furniture FUZZ_OPERATIONS=$(or $(FUZZ_OPERATIONS),100000000)

fuzz-locks: check-deps
	@echo 'anything in the memory of locks, for $(FUZZ_SECONDS) s'
	$(call c_spec,fuzz,-O1 $(SANITIZE) -fno-sanitize-recover=all)
	@$(BOUND) build/c/fuzz $(FUZZ_SECONDS)

# LibFuzzer keeps the inputs that led further in build/fuzz, and goes on from them. It ends
# after FUZZ_SECONDS, or FUZZ_OPERATIONS where those are given.
FUZZER = -close_fd_mask=0 -print_final_stats=0 -verbosity=0 -print_funcs=0 -timeout=20 -max_len=2000 -len_control=10
fuzz-furniture: check-deps
	@echo 'furniture among scribble, for $(or $(FUZZ_OPERATIONS:%=% operations),$(FUZZ_SECONDS) s)'
	@mkdir -p build/c build/fuzz
	@clang -std=c11 -D_GNU_SOURCE -Isrc -Ispec/c -g -O1 -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all -o build/c/furniture spec/c/furniture.c $(C_SOURCES) -pthread
	@FUZZ_OPERATIONS=$(FUZZ_OPERATIONS) ASAN_OPTIONS=detect_leaks=0 build/c/furniture $(FUZZER) \
	    $(if $(FUZZ_OPERATIONS),,-max_total_time=$(FUZZ_SECONDS)) -artifact_prefix=build/fuzz- build/fuzz || \
	    { echo '0 passed, 1 failed'; exit 1; }

# What a fault leaves off goes on where it was, for which valgrind has to keep all registers. At
# the end of each process it would look for leaks, also where nobody is told of them, and where
# memory is promised and not there it does that by a fault for every word.
VALGRIND := valgrind -q --leak-check=no --error-exitcode=99 --vex-iropt-register-updates=allregs-at-mem-access

# Valgrind 3.19 knows no pidfd: this is also the suite over what takes its place. Lines with
# == are reports. After fault_spec's pages were moved it now and then ends a child by SIGBUS,
# which is why that spec's process is no other's. Into programs it does not follow, and so sees
# nothing of what only starts some. A child's exit counts what it inherited as lost: leaks are
# looked for where nothing forks.
PROGRAMS := examples soak
check-valgrind: check-deps $(TREE)/built
	@echo 'the suite under valgrind'
	@rm -rf build/valgrind && mkdir -p build/valgrind
	$(call watch,$(filter-out $(PROGRAMS),$(WATCHED)), \
	    SHM_SPEC_SHARE=100 SHM_SPEC_PATIENCE=6 $(call lua_env,$(TREE)) \
	    $(BOUND) $(VALGRIND) --log-file=$(CURDIR)/build/valgrind/%p)
	@SHM_SPEC_SHARE=100 $(call lua_env,$(TREE)) $(BOUND) $(VALGRIND) --log-file=$(CURDIR)/build/valgrind/%p \
	 --leak-check=full --errors-for-leak-kinds=definite \
	 $(LUA) spec/run.lua --output=plainTerminal spec/random_spec.lua
	@! grep -rh '^==' build/valgrind
	@rm -rf build/valgrind

.PHONY: clean
clean:
	rm -rf $(TREE) build shm
	find src -name '*.o' -delete
