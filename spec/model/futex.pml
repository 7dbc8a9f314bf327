/*
 * The kernel's part, which the other models include: words to sleep on, as src/os/futex.c
 * has them, and kill -9.
 *
 * Comparing the word and joining its queue is one step. A wake takes any of the queue, in
 * no order. With DEATH defined, up to so many processes are killed, each between any two of
 * its steps, and a sleep may end by itself at any time, as it does when its slice is over.
 * All steps are sequentially consistent, as the operations of src/mem/atomic.h have to be
 * where a model stands for them. Who includes this defines N, the number of processes; they
 * are numbered from 0 (each calls its own number me), and so are the words.
 */
#define AWAKE 255
#define BIT(i) (1 << (i))

byte queue[N] = AWAKE; /* the word that each process sleeps on */
byte over;             /* how many have ended, or died */

#if defined(DEATH) && !defined(NO_SLICE)
#define SLICE true
#else
#define SLICE false
#endif

/* Joins the queue of word w if the condition holds. */
inline futex_enqueue(w, same)
{
    atomic {
        if
        :: same -> queue[me] = w
        :: else
        fi
    }
}

inline futex_sleep()
{
    atomic {
        if
        :: queue[me] == AWAKE
        :: SLICE && queue[me] != AWAKE -> queue[me] = AWAKE
        fi
    }
}

inline futex_wait(w, same)
{
    futex_enqueue(w, same);
    futex_sleep()
}

/* Wakes one. */
inline futex_wake(w)
{
    atomic {
        if
        :: queue[0] == w -> queue[0] = AWAKE
        :: queue[1] == w -> queue[1] = AWAKE
        :: queue[2] == w -> queue[2] = AWAKE
#if N > 3
        :: queue[3] == w -> queue[3] = AWAKE
#endif
#if N > 4
        :: queue[4] == w -> queue[4] = AWAKE
#endif
#if N > 5
        :: queue[5] == w -> queue[5] = AWAKE
#endif
        :: else
        fi
    }
}

inline futex_wake_all(w)
{
    d_step {
        i = 0;
        do
        :: i < N ->
            if
            :: queue[i] == w -> queue[i] = AWAKE
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* { body } KILLED(what the rest sees of it) */
#ifdef DEATH
bool doomed[N];

active proctype killer()
{
    byte left = DEATH;
    byte who;
    do
    :: left > 0 ->
        atomic {
            select(who : 0 .. N - 1);
            doomed[who] = true;
            left--;
            who = 0
        }
    :: break
    od
}

/* What follows is for ever, also when nobody can move: fairness is for those who move. */
active proctype for_ever()
{
    bool tick;
    do
    :: tick = false
    od
}

#define KILLED(what) unless { atomic { doomed[me] -> queue[me] = AWAKE; what; over++ } }
#else
#define KILLED(what)
#endif
