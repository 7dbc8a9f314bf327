/*
 * Lamport's bakery, as lua/shm/exclusion/bakery.lua does it: who enters takes a number greater
 * than all it sees, and says so while it chooses; then it waits for each that chooses, and for
 * each that has a smaller number, or the same one and comes before it.
 *
 * Nobody waits for ever, and no two are inside. Two fences are needed, after choosing is set
 * and after it is cleared.
 *
 * ROUNDS           how often each enters: numbers grow
 * Broken:
 * NO_FENCE         tso.pml: neither is there
 * NO_FIRST_FENCE   the one before the others' numbers are read is not
 * NO_SECOND_FENCE  the one after is not
 * NO_CHOOSING      nobody waits for those who choose
 */
#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define WORDS (2 * N)
#define CHOOSING(p) (p)
#define NUMBER(p) (N + (p))
#include "tso.pml"

#ifdef NO_FIRST_FENCE
#define FIRST_FENCE skip
#else
#define FIRST_FENCE FENCE
#endif
#ifdef NO_SECOND_FENCE
#define SECOND_FENCE skip
#else
#define SECOND_FENCE FENCE
#endif

/* Whether a process with this number does not come before me. */
#define AFTER_ME(theirs) ((theirs) == 0 || (theirs) > mine || ((theirs) == mine && k > me))

proctype locker(byte me)
{
    byte mine;
    byte k;
    byte seen;
    byte round;
    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
        write(CHOOSING(me), 1);
        FIRST_FENCE;
        for (k : 0 .. N - 1) {
            if
            :: k != me ->
                read(NUMBER(k), seen);
                if
                :: seen > mine -> mine = seen
                :: else
                fi
            :: else
            fi
        }
        seen = 0;
        mine++;
        write(NUMBER(me), mine);
        write(CHOOSING(me), 0);
        SECOND_FENCE;
        for (k : 0 .. N - 1) {
            if
            :: k != me ->
#ifndef NO_CHOOSING
                do
                :: read(CHOOSING(k), seen);
                    if
                    :: seen == 0 -> break
                    :: else
                    fi;
                    if
                    :: memory[CHOOSING(k)] == 0
                    :: TIME_IS_UP
                    fi
                od;
#endif
                do
                :: read(NUMBER(k), seen);
                    if
                    :: AFTER_ME(seen) -> break
                    :: else
                    fi;
                    if
                    :: AFTER_ME(memory[NUMBER(k)])
                    :: TIME_IS_UP
                    fi
                od;
                seen = 0
            :: else
            fi
        }
        critical();
give_up:
        mine = 0;
        k = 0;
        seen = 0;
        write(NUMBER(me), 0)
    od
}
