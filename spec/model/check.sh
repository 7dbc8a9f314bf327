#!/bin/sh
# Verifies the models: those that hold are searched in full, and in those with a defect put in
# spin has to find it. The last line counts both.
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-build/model}
passed=0 failed=0

# check holds|breaks|collides MODEL [SWITCH...]     collides: by an assertion, not by waiting
check() {
    verdict=$1 model=$2
    shift 2
    name=$(echo "$model $*" | tr ' =' '--')
    defines= compile=-DSAFETY run=
    [ "$verdict" = collides ] && run=-E
    for switch; do
        defines="$defines -D$switch"
        case $switch in DEATH=*) compile=-DNFAIR=3 run='-a -f' ;; esac
    done
    rm -rf "${build:?}/$name" && mkdir -p "$build/$name"
    (
        cd "$build/$name" || exit
        # shellcheck disable=SC2086
        spin $defines -a "$here/$model.pml" &&
            gcc -O2 -w -DCOLLAPSE -DMEMLIM=1024 $compile -o pan pan.c &&
            timeout 300 ./pan -m1000000 $run
    ) >"$build/$name/log" 2>&1
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$build/$name/log")
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$build/$name/log")
    found=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' "$build/$name/log")
    full=yes
    grep -q -e 'not completed' -e 'depth too small' -e '^error: ' -e 'out of memory' \
        -e 'memory limit' "$build/$name/log" && full=
    case $verdict:$errors:$full:$found in
    holds:0:yes: | breaks:[1-9]*:*:[a-z]* | collides:[1-9]*:*:assertion*)
        passed=$((passed + 1)) said=ok ;;
    *)
        failed=$((failed + 1)) said=FAILED ;;
    esac
    printf '%-6s  %-48s %9s states  %s\n' "$said" "$model $*" "${states:-no}" \
        "${found:-errors: ${errors:-?}}"
    if [ $said = ok ]; then rm -rf "${build:?}/$name"; else tail -n 20 "$build/$name/log"; fi
}

check holds wait
check holds wait BIT_LATE
check holds wait DEATH=1 WAITERS=2 POSTERS=2
check breaks wait BARE_WAKE
check breaks wait BIT_AFTER_LOOK
check breaks wait LOOK_FIRST
check breaks wait SLEEP_ON_SEEN
check breaks wait DEATH=1 WAITERS=2 POSTERS=2 NO_SLICE

check holds fence
check breaks fence NO_FENCE
check breaks fence FENCE_FIRST
check breaks fence LOOK_FIRST

check holds event
check holds event SKIP_WAKE
check holds event DEATH=1 WAITERS=2 SETS=1
check holds event DEATH=1 WAITERS=2 SETS=1 SKIP_WAKE
check breaks event TAKE_BY_STORE
check breaks event LOOK_FIRST
check breaks event DEATH=1 WAITERS=2 SETS=1 NO_SLICE
check holds event MANUAL
check holds event MANUAL DEATH=1 WAITERS=2 SETS=1
check breaks event MANUAL WAKE_ONE
check breaks event MANUAL LOOK_FIRST
check breaks event MANUAL DEATH=1 WAITERS=2 SETS=1 NO_SLICE

check holds eventcount
check holds eventcount WAITERS=3 TELLERS=2
check holds eventcount DEATH=1 WAITERS=2 TELLERS=2
check breaks eventcount NOT_AGAIN
check breaks eventcount NO_CHECK
check breaks eventcount CHECK_FIRST
check breaks eventcount TURN_FIRST
check breaks eventcount LOOK_FIRST
check breaks eventcount BARE_WAKE
check breaks eventcount DEATH=1 WAITERS=2 TELLERS=2 NO_SLICE

check holds condition
check holds condition PRODUCERS=2 TIMEOUTS=1
check holds condition BROADCAST TIMEOUTS=1
check holds condition CONSUMERS=2 SIGNAL_AFTER TIMEOUTS=2
check breaks condition UNLOCK_FIRST
check breaks condition SIGNAL_AFTER TRUST_WAKE
check breaks condition PRODUCERS=2 TIMEOUTS=1 TIMEOUT_WINS
check breaks condition TIMEOUTS=1 FREE_AT_ONCE

check holds mutex
check holds mutex N=4 ROUNDS=1
check holds mutex DEATH=2 ROUNDS=1
check breaks mutex LOOK_FIRST
check breaks mutex DEATH=1 ROUNDS=1 TAKE_BY_STORE
check breaks mutex DEATH=1 ROUNDS=1 NO_SLICE

check holds bucket
check holds bucket DEATHS=2
check breaks bucket NO_BUMP
check breaks bucket COMMIT_LATE
check breaks bucket COUNT_FIRST
check breaks bucket NO_RECHECK
check breaks bucket SAVE_LATE

check holds split
check holds split SPLITS=6
check breaks split NUMBER_LAST
check breaks split NO_NUMBER
check breaks split NO_COUNT
check breaks split UNDO_LATE
check breaks split UNDO_TWICE

check holds replica
check holds replica N=2 TAKEOVERS=5
check breaks replica NO_RAISE
check breaks replica READ_FIRST
check breaks replica COUNT_ANYWAY
check breaks replica TERM_BY_STORE
check breaks replica KEEP_OWN

check holds peterson
check holds peterson GIVE_UP=2
check collides peterson NO_FENCE
check collides peterson TURN_FIRST

check holds dekker
check holds dekker GIVE_UP=2
check collides dekker NO_FENCE
check collides dekker NO_FIRST_FENCE
check collides dekker NO_LATER_FENCE
check breaks dekker TURN_ONLY GIVE_UP=2

check holds filter
check holds filter GIVE_UP=2
check collides filter NO_FENCE
check collides filter VICTIM_FIRST
check collides filter ABOVE_ONLY
check collides filter LEVELS=1
check collides filter N=4 LEVELS=2

check holds szymanski
check holds szymanski N=4 SC
check collides szymanski NO_FENCE
check collides szymanski NO_DOOR_FENCE
check collides szymanski NO_ROOM_FENCE
check collides szymanski NO_ROOM
check collides szymanski HASTY
check collides szymanski DESCENDING
check collides szymanski GIVE_UP=2
check breaks szymanski GIVE_UP=1

check holds bakery
check holds bakery N=2 ROUNDS=4
check holds bakery N=2 ROUNDS=4 GIVE_UP=2
check collides bakery NO_FENCE
check collides bakery NO_FIRST_FENCE
check collides bakery NO_SECOND_FENCE
check collides bakery NO_CHOOSING

echo "$passed passed, $failed failed"
[ $failed = 0 ]
