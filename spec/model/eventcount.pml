/*
 * Eventcounts whose teller wakes all, as src/sync/eventcount.c and waiters.c do it.
 *
 * What is waited for is in a word of its own: so many tellers have made their change. A
 * waiter shows itself in `sleeping`, reads the turn, looks, looks whether it is still
 * shown, and sleeps on the turn that it read. A teller makes its change, and where any bit
 * is set it empties the bits, adds one to the turn, and wakes all.
 *
 * Each waiter waits for another number of changes, so that who is woken sleeps again, and
 * has to be seen by the next teller. Nobody may sleep for ever once its number is reached.
 *
 * DEATH       tellers and waiters may die
 * Broken:
 * NOT_AGAIN   who was woken in vain is not shown again before it sleeps
 * NO_CHECK    who is about to sleep does not look whether it is still shown
 * CHECK_FIRST it does so before it reads the turn
 * TURN_FIRST  the teller adds to the turn before it empties the bits
 * LOOK_FIRST  the teller looks at the bits before its change
 * BARE_WAKE   the teller does not change the turn
 * NO_SLICE    with DEATH: sleeps do not end by themselves
 */
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef TELLERS
#define TELLERS 3
#endif
#define N (WAITERS + TELLERS)
#include "futex.pml"

byte changes;
byte turn;
byte sleeping;
byte gone;              /* tellers that have died before their change */
byte waiting = WAITERS; /* who has not got what it waits for, and lives */

/* The first wants all changes, the others one less each. */
#define WANTED(me) (TELLERS - (me))

proctype waiter(byte me)
{
    byte seen;
    byte shown;
    {
        sleeping = sleeping | BIT(me);
        do
        ::
#ifndef NOT_AGAIN
            sleeping = sleeping | BIT(me);
#endif
#ifdef CHECK_FIRST
            shown = sleeping & BIT(me);
#endif
            seen = turn;
            if
            :: changes >= WANTED(me) -> break
            :: else
            fi;
#if defined(NO_CHECK) || defined(NOT_AGAIN)
            shown = 1;
#elif !defined(CHECK_FIRST)
            shown = sleeping & BIT(me);
#endif
            if
            :: shown ->
                futex_enqueue(0, turn == seen);
                futex_sleep()
            :: else
            fi
        od;
        atomic {
            sleeping = sleeping & ~BIT(me);
            waiting--;
            over++
        }
    }
    KILLED(waiting--)
}

proctype teller(byte me)
{
    byte i;
    byte seen;
    bool done;
    {
#ifdef LOOK_FIRST
        seen = sleeping;
#endif
        atomic { changes++; done = true };
#ifndef LOOK_FIRST
        seen = sleeping;
#endif
        if
        :: seen ->
#ifdef TURN_FIRST
            turn++;
            sleeping = 0;
#else
            sleeping = 0;
#ifndef BARE_WAKE
            turn++;
#endif
#endif
            futex_wake_all(0)
        :: else
        fi;
        over++
    }
    KILLED(gone = gone + (1 - done))
}

init
{
    byte i;
    atomic {
        for (i : 0 .. WAITERS - 1) { run waiter(i) }
        for (i : WAITERS .. N - 1) { run teller(i) }
        i = 0
    }
    over == N;
    assert(changes == TELLERS - gone)
}

#ifdef DEATH
/* That waiters are left is right only where changes are missing. */
ltl served { <> [] (waiting == 0 || changes < TELLERS) }
#endif
