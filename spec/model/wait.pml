/*
 * Waiting and waking, as src/sync/semaphore.c does it.
 *
 * A waiter sets its bit in `sleeping`, tries to take one, and sleeps on the count while that
 * is 0. A poster adds one, and wakes one if any bit is set. Nobody may sleep for ever while
 * the count is above 0.
 *
 * DEATH       a poster may die between its store and its wake, a waiter woken before it takes
 * BIT_LATE    the bit is set after the count was seen 0, before the sleep: harmless, as the
 *             kernel compares once more
 * Broken:
 * BARE_WAKE       the word to sleep on is a flag that is 1 already, which no poster changes
 * BIT_AFTER_LOOK  the bit is set, or seen by others, only after the kernel has compared
 * LOOK_FIRST      the poster looks at the bits before it adds
 * SLEEP_ON_SEEN   the waiter sleeps on whatever count it saw, not on 0 alone
 * NO_SLICE        with DEATH: sleeps do not end by themselves
 */
#ifndef WAITERS
#define WAITERS 3
#endif
#ifndef POSTERS
#define POSTERS 3
#endif
#define N (WAITERS + POSTERS)
#include "futex.pml"

byte count;
byte sleeping;
byte posted;
byte taken;
byte waiting = WAITERS; /* who has not got one, and lives */

proctype waiter(byte me)
{
    byte seen;
    {
#if !defined(BIT_AFTER_LOOK) && !defined(BIT_LATE)
        sleeping = sleeping | BIT(me);
#endif
        do
        :: seen = count;
            if
            :: seen > 0 ->
                atomic {
                    if
                    :: count == seen -> count--; taken++; break
                    :: else
                    fi
                }
#ifndef SLEEP_ON_SEEN
                goto again;
#endif
            :: else
            fi;
#ifdef BARE_WAKE
            futex_wait(0, true);
#elif defined(BIT_AFTER_LOOK)
            futex_enqueue(0, count == seen);
            sleeping = sleeping | BIT(me);
            futex_sleep();
#else
#ifdef BIT_LATE
            sleeping = sleeping | BIT(me);
#endif
            futex_wait(0, count == seen);
#endif
again:
            seen = 0
        od;
        atomic {
            sleeping = sleeping & ~BIT(me);
            waiting--;
            over++
        }
    }
    KILLED(waiting--)
}

proctype poster(byte me)
{
    byte seen;
    {
#ifdef LOOK_FIRST
        seen = sleeping;
#endif
        atomic { count++; posted++ };
#ifndef LOOK_FIRST
        seen = sleeping;
#endif
        if
        :: seen -> futex_wake(0)
        :: else
        fi;
        over++
    }
    KILLED(skip)
}

init
{
    byte i;
    atomic {
        for (i : 0 .. WAITERS - 1) { run waiter(i) }
        for (i : WAITERS .. N - 1) { run poster(i) }
        i = 0
    }
    over == N;
    assert(count + taken == posted);
#ifndef DEATH
    assert(count == 0 && sleeping == 0)
#endif
}

#ifdef DEATH
/* That waiters are left is right only while the count stays 0. */
ltl served { <> [] (count == 0 || waiting == 0) }
#endif
