/*
 * A condition with a slot for each who waits, as src/sync/condition.c does it.
 *
 * Under the mutex, a waiter claims a free slot and sets its bit, then unlocks and sleeps on
 * the slot's word while that is WAITING. A signal swaps one WAITING slot to SIGNALLED and
 * wakes its sleeper; a broadcast does so with all. Who times out swaps WAITING to LEAVING; if
 * that fails, it was signalled in the meantime, and says so. Then the bit is cleared, the
 * slot freed, and the mutex locked again. The bit goes first: once the slot is free, the bit
 * may be the next one's.
 *
 * Consumers take one item each, and wait while there is none; each producer puts one. A
 * consumer that times out gives up without another look. Nobody may wait for ever while
 * there are items, and a signal lets through one at most.
 *
 * TIMEOUTS      so many time-outs may happen, at any time
 * BROADCAST     one producer puts an item for each, and tells all at once
 * SIGNAL_AFTER  the producer signals after it has unlocked
 * Broken:
 * UNLOCK_FIRST  the mutex is unlocked before the slot is claimed
 * TRUST_WAKE    whoever is woken goes on without a look at its slot: a late wake may have
 *               been for the one before it
 * TIMEOUT_WINS  who times out frees its slot by a plain store
 * FREE_AT_ONCE  who times out swaps WAITING to FREE, and clears the bit then
 */
#ifndef CONSUMERS
#define CONSUMERS 3
#endif
#ifdef BROADCAST
#define PRODUCERS 1
#define PUT CONSUMERS
#else
#ifndef PRODUCERS
#define PRODUCERS CONSUMERS
#endif
#define PUT 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#define N (CONSUMERS + PRODUCERS)
#define SLOTS CONSUMERS
#include "futex.pml"

#define FREE 0
#define WAITING 1
#define SIGNALLED 2
#define LEAVING 3

bool locked;
byte state[SLOTS];
byte sleeping;
byte items;
byte signals;              /* that found someone */
byte through;              /* who has returned as signalled */
byte timeouts = TIMEOUTS;
byte wanting = CONSUMERS;  /* who has no item, and has not given up */

#define lock() atomic { !locked -> locked = true }
#define unlock() locked = false

proctype consumer(byte me)
{
    byte slot;
    bool late;
    lock();
    do
    :: items > 0 -> atomic { items--; wanting-- }; break
    :: items == 0 ->
#ifdef UNLOCK_FIRST
        unlock();
#endif
        atomic {
            slot = 0;
            do
            :: state[slot] == FREE -> state[slot] = WAITING; break
            :: else -> slot++
            od
        };
        sleeping = sleeping | BIT(slot);
#ifndef UNLOCK_FIRST
        unlock();
#endif
        do
        :: state[slot] != WAITING -> break
        :: state[slot] == WAITING ->
            futex_enqueue(slot, state[slot] == WAITING);
end_asleep:
            atomic {
                if
                :: queue[me] == AWAKE
                :: queue[me] != AWAKE && timeouts > 0 ->
                    queue[me] = AWAKE;
                    timeouts--;
                    late = true
                fi
            };
#ifdef TRUST_WAKE
            break
#else
            if
            :: late -> break
            :: else
            fi
#endif
        od;
        if
        :: late ->
#ifdef TIMEOUT_WINS
            state[slot] = LEAVING
#else
            atomic {
                if
#ifdef FREE_AT_ONCE
                :: state[slot] == WAITING -> state[slot] = FREE
#else
                :: state[slot] == WAITING -> state[slot] = LEAVING
#endif
                :: else -> late = false
                fi
            }
#endif
        :: else
        fi;
        if
        :: late
        :: else -> atomic { through++; assert(through <= signals) }
        fi;
        sleeping = sleeping & ~BIT(slot);
#ifdef FREE_AT_ONCE
        if
        :: late
        :: else -> state[slot] = FREE
        fi;
#else
        state[slot] = FREE;
#endif
        slot = 0;
        lock();
        if
        :: late -> wanting--; break
        :: else
        fi
    od;
    unlock();
    over++
}

/* Signals to one slot or, with BROADCAST, to each. */
inline signal()
{
    seen = sleeping;
    i = 0;
    do
    :: i == SLOTS || seen == 0 -> break
    :: i < SLOTS && seen != 0 ->
        done = false;
        if
        :: seen & BIT(i) ->
            atomic {
                if
                :: state[i] == WAITING -> state[i] = SIGNALLED; signals++; done = true
                :: else
                fi
            }
        :: else
        fi;
        if
        :: done -> futex_wake(i);
#ifndef BROADCAST
            break
#endif
        :: else
        fi;
        i++
    od;
    i = 0;
    done = false;
    seen = 0
}

proctype producer(byte me)
{
    byte i;
    byte seen;
    bool done;
    lock();
    items = items + PUT;
#ifdef SIGNAL_AFTER
    unlock();
    signal();
#else
    signal();
    unlock();
#endif
    over++
}

init
{
    byte i;
    atomic {
        for (i : 0 .. CONSUMERS - 1) { run consumer(i) }
        for (i : CONSUMERS .. N - 1) { run producer(i) }
        i = 0
    }
    timeout;
    assert(!locked);
    assert(items == 0 || wanting == 0);
    assert(signals == through)
}
