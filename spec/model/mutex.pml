/*
 * A mutex that outlives its owner, as src/sync/mutex.c does it.
 *
 * The word holds who owns it, or 0. Taking it swaps 0 for oneself; unlocking swaps 0 back, and
 * wakes one if any bit in `sleeping` is set. Who waits sets its bit and sleeps on the owner it
 * saw. When its slice is over it looks whether that one lives; if not, it swaps the dead one
 * for itself, which succeeds for one only. Owners are told apart by start time as well, so no
 * number comes twice.
 *
 * No two are inside, and nobody who lives waits for ever.
 *
 * DEATH          so many may die, the owner among them
 * Broken:
 * TAKE_BY_STORE  who finds the owner dead takes over by a plain store
 * LOOK_FIRST     who unlocks looks at the bits before it stores 0
 * NO_SLICE       with DEATH: sleeps do not end by themselves
 */
#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* how often each locks */
#endif
#include "futex.pml"

byte owner; /* its number and 1, or 0 */
byte sleeping;
byte inside;
bool dead[N];

proctype locker(byte me)
{
    byte seen;
    byte n;
    bool in;
    {
        do
        :: n < ROUNDS ->
            sleeping = sleeping | BIT(me);
            do
            :: atomic {
                    seen = owner;
                    if
                    :: seen == 0 -> owner = me + 1; inside++; in = true;
                        assert(inside == 1);
                        break
                    :: else
                    fi
                };
                if
                :: dead[seen - 1] ->
                    atomic {
                        if
#ifdef TAKE_BY_STORE
                        :: true ->
#else
                        :: owner == seen ->
#endif
                            owner = me + 1; inside++; in = true;
                            assert(inside == 1);
                            break
#ifndef TAKE_BY_STORE
                        :: else
#endif
                        fi
                    }
                :: else
                fi;
                futex_wait(0, owner == seen)
            od;
            seen = 0;
            sleeping = sleeping & ~BIT(me);
#ifdef LOOK_FIRST
            seen = sleeping;
#endif
            atomic { assert(owner == me + 1); owner = 0; inside--; in = false };
#ifndef LOOK_FIRST
            seen = sleeping;
#endif
            if
            :: seen -> futex_wake(0)
            :: else
            fi;
            seen = 0;
            n++
        :: else -> break
        od;
        over++
    }
    KILLED(dead[me] = true; inside = inside - in)
}

init
{
    byte i;
    atomic {
        for (i : 0 .. N - 1) { run locker(i) }
        i = 0
    }
    over == N
}

#ifdef DEATH
ltl ended { <> (over == N) }
#endif
