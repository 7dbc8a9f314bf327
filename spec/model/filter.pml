/*
 * The filter lock, Peterson's algorithm for n processes, as lua/shm/exclusion/filter.lua does
 * it: there are n - 1 levels, and on each the last one to come is its victim, which waits until
 * another one is, or nobody else is on this level or a higher one. So each keeps one back.
 *
 * Nobody waits for ever, and no two are inside. One fence is needed, on each level, between the
 * store to its victim and the loads of the others' levels.
 *
 * Broken:
 * NO_FENCE      tso.pml: it is not there
 * LEVELS=n      there are fewer than N - 1 levels
 * VICTIM_FIRST  one becomes the victim before it is on the level
 * ABOVE_ONLY    the victim waits only for those who are higher
 */
#ifndef N
#define N 3
#endif
#ifndef LEVELS
#define LEVELS (N - 1)
#endif
#define WORDS (2 * N)
#define LEVEL(p) (p)
#define VICTIM(l) (N - 1 + (l))
#ifdef ABOVE_ONLY
#define BEHIND(seen) ((seen) <= level)
#else
#define BEHIND(seen) ((seen) < level)
#endif
#include "tso.pml"

proctype locker(byte me)
{
    byte level;
    byte k;
    byte seen;
again:
    STAY_OUTSIDE;
    for (level : 1 .. LEVELS) {
#ifdef VICTIM_FIRST
        write(VICTIM(level), me + 1);
        write(LEVEL(me), level);
#else
        write(LEVEL(me), level);
        write(VICTIM(level), me + 1);
#endif
        FENCE;
        do
        :: read(VICTIM(level), seen);
            if
            :: seen != me + 1 -> break
            :: else
            fi;
            k = 0;
            do
            :: k == me -> k++
            :: k < N && k != me ->
                read(LEVEL(k), seen);
                if
                :: BEHIND(seen) -> k++
                :: else -> break
                fi
            :: else -> break
            od;
            if
            :: k == N -> break
            :: else
            fi;
            if
            :: BEHIND(memory[LEVEL(k)]) || memory[VICTIM(level)] != me + 1
            :: TIME_IS_UP
            fi;
            k = 0;
            seen = 0
        od;
        k = 0;
        seen = 0
    }
    critical();
give_up:
    level = 0;
    k = 0;
    seen = 0;
    write(LEVEL(me), 0);
    goto again;
outside:
    skip
}
