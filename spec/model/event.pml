/*
 * Events, as src/sync/event.c does them: a word that is 1 while the event is set.
 *
 * A waiter sets its bit in `sleeping`, looks at the word, and sleeps on it while it is 0. With
 * automatic reset, whoever is let through swaps the word back to 0, and set wakes one; with
 * manual reset, set wakes all, and the word stays until reset.
 *
 * Automatic: each set that found 0 lets through one waiter, never two, and none that set
 * sleeps on. Manual: all who wait are let through while the event stays set.
 *
 * MANUAL      manual reset; otherwise automatic
 * SKIP_WAKE   a set that found 1 wakes nobody, as the one before it does: harmless, unless
 *             that one dies first, which is what slices are for
 * DEATH       setters and waiters may die
 * Broken:
 * TAKE_BY_STORE  automatic: the waiter looks, then stores 0
 * WAKE_ONE       manual: set wakes one only
 * LOOK_FIRST     set looks at the bits before it stores
 * NO_SLICE       with DEATH: sleeps do not end by themselves
 */
#ifndef WAITERS
#define WAITERS 3
#endif
#ifndef SETTERS
#define SETTERS 2
#endif
#ifndef SETS
#define SETS 2 /* each */
#endif
#define N (WAITERS + SETTERS)
#include "futex.pml"

byte word;
byte sleeping;
byte sets;              /* that found the word 0 */
byte through;           /* who has been let through */
byte waiting = WAITERS; /* who has not, and lives */

proctype waiter(byte me)
{
    {
        sleeping = sleeping | BIT(me);
        do
        ::
#ifdef MANUAL
            if
            :: word == 1 -> through++; break
            :: else
            fi;
#elif defined(TAKE_BY_STORE)
            if
            :: word == 1 -> atomic { word = 0; through++; assert(through <= sets) }; break
            :: else
            fi;
#else
            atomic {
                if
                :: word == 1 -> word = 0; through++; assert(through <= sets); break
                :: else
                fi
            };
#endif
            futex_enqueue(0, word == 0);
end_asleep:
            futex_sleep()
        od;
        atomic {
            sleeping = sleeping & ~BIT(me);
            waiting--;
            over++
        }
    }
    KILLED(waiting--)
}

proctype setter(byte me)
{
    byte i;
    byte n;
    byte seen;
    bool was;
    {
        do
        :: n < SETS ->
#ifdef LOOK_FIRST
            seen = sleeping;
#endif
            atomic { was = word; word = 1; sets = sets + (1 - was) };
#ifndef LOOK_FIRST
            seen = sleeping;
#endif
#ifdef SKIP_WAKE
            if
            :: was -> seen = 0
            :: else
            fi;
#endif
            if
            :: seen ->
#if defined(MANUAL) && !defined(WAKE_ONE)
                futex_wake_all(0)
#else
                futex_wake(0)
#endif
            :: else
            fi;
            n++;
#ifdef MANUAL
            if
            :: word = 0 /* and is set again, or was the last to be */
            :: skip
            fi
#endif
        :: else -> break
        od;
        over++
    }
    KILLED(skip)
}

init
{
    byte i;
    atomic {
        for (i : 0 .. WAITERS - 1) { run waiter(i) }
        for (i : WAITERS .. N - 1) { run setter(i) }
        i = 0
    }
#ifndef DEATH
    timeout;
    assert(word == 0 || waiting == 0);
#ifndef MANUAL
    assert(through + word == sets)
#endif
#endif
}

#ifdef DEATH
ltl served { <> [] (word == 0 || waiting == 0) }
#endif
