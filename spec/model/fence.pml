/*
 * A queue of one producer and one consumer, as src/ds/ring.h publishes its ends and as
 * src/sync/waiters.c sleeps: the fence between "store mine" and "load yours" is paid for by
 * who is about to sleep, who has the kernel run it where the other runs (src/os/fence.c).
 *
 * The producer's stores wait in its processor's buffer, in their order, and are seen by others
 * at any later time; what it loads it loads at once. The consumer's way to sleep is
 * sequentially consistent, as what it stores there is stored by locked instructions. Nobody may
 * sleep for ever while a message is there.
 *
 * Broken:
 * NO_FENCE      nobody has a fence
 * FENCE_FIRST   the consumer has it run before it shows that it sleeps
 * LOOK_FIRST    the producer looks for sleepers before it publishes
 */
#ifndef MESSAGES
#define MESSAGES 4
#endif
#define N 3
#include "futex.pml"

byte end;      /* the pushing end, as others see it */
byte mine;     /* and as the producer does: what lies between is in its buffer */
byte turn;     /* the word that is slept on */
bool sleeping; /* the consumer's bit */

active proctype buffer()
{
    do
    :: atomic { end < mine -> end++ }
    :: atomic { mine == MESSAGES && end == mine -> break }
    od
}

active proctype producer()
{
    byte me = 0;
    bool seen;
    do
    :: mine < MESSAGES ->
#ifdef LOOK_FIRST
        seen = sleeping;
#endif
        mine++;
#ifndef LOOK_FIRST
        seen = sleeping;
#endif
        if
        :: seen ->
            atomic { end = mine; turn++ } /* a locked instruction */
            futex_wake(0)
        :: else
        fi;
        seen = false
    :: else -> break
    od;
    over++
}

active proctype consumer()
{
    byte me = 1;
    byte taken, seen;
    do
    :: taken == MESSAGES -> break
    :: taken < MESSAGES && taken < end -> taken++
    :: taken < MESSAGES && taken == end ->
#ifdef FENCE_FIRST
        end = mine;
#endif
        sleeping = true;
#if !defined(NO_FENCE) && !defined(FENCE_FIRST)
        end = mine;
#endif
        do
        :: seen = turn;
            if
            :: taken < end -> break
            :: else -> futex_wait(0, turn == seen)
            fi
        od;
        sleeping = false;
        seen = 0
    od;
    over++
}
