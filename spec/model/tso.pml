/*
 * Memory behind store buffers, as x86 has it (total store order), for the models of
 * lua/shm/exclusion. A store waits in its process's own buffer, first in, first out, and is in
 * memory some time later. A load takes the newest value that its own buffer has for the word,
 * or else memory's. A fence waits until the buffer is empty.
 *
 * Who includes this defines N, the number of processes, which are numbered from 0 (each calls
 * its own number me), and WORDS. All words are 0 at first. Each process enters again and
 * again, and calls critical() when it is inside.
 *
 * Nobody polls: who found a value that makes it wait goes on when memory has another one
 * there. So processes that wait for ever are an end where none should be, which spin finds.
 *
 * SC        there are no buffers
 * GIVE_UP   so many waits, of all, end because their time is up
 * NO_FENCE  fences do nothing
 */
#define K 4 /* how many stores a buffer holds: no algorithm has more between two fences */

#ifndef GIVE_UP
#define GIVE_UP 0
#endif

byte memory[WORDS];
byte inside;
byte patience = GIVE_UP;

/* Nobody has to enter again. */
#define STAY_OUTSIDE \
    if \
    :: true \
    :: true -> goto outside \
    fi

/* For a wait: an alternative that is taken when time is up. */
#define TIME_IS_UP atomic { patience > 0 -> patience--; goto give_up }

#ifdef SC
#define DRAINED true

inline write(w, v)
{
    memory[w] = v
}

inline read(w, into)
{
    into = memory[w]
}
#else
typedef stores {
    byte word[K];
    byte value[K];
    byte used
}

stores buffer[N];
#define DRAINED (buffer[me].used == 0)

inline write(w, v)
{
    d_step {
        buffer[me].used < K;
        buffer[me].word[buffer[me].used] = w;
        buffer[me].value[buffer[me].used] = v;
        buffer[me].used++
    }
}

inline read(w, into)
{
    d_step {
        into = memory[w];
        if
        :: buffer[me].used > 0 && buffer[me].word[0] == w -> into = buffer[me].value[0]
        :: else
        fi;
        if
        :: buffer[me].used > 1 && buffer[me].word[1] == w -> into = buffer[me].value[1]
        :: else
        fi;
        if
        :: buffer[me].used > 2 && buffer[me].word[2] == w -> into = buffer[me].value[2]
        :: else
        fi;
        if
        :: buffer[me].used > 3 && buffer[me].word[3] == w -> into = buffer[me].value[3]
        :: else
        fi
    }
}

proctype drain(byte who)
{
end:
    do
    :: d_step {
            buffer[who].used > 0;
            memory[buffer[who].word[0]] = buffer[who].value[0];
            buffer[who].used--;
            buffer[who].word[0] = buffer[who].word[1];
            buffer[who].value[0] = buffer[who].value[1];
            buffer[who].word[1] = buffer[who].word[2];
            buffer[who].value[1] = buffer[who].value[2];
            buffer[who].word[2] = buffer[who].word[3];
            buffer[who].value[2] = buffer[who].value[3];
            buffer[who].word[3] = 0;
            buffer[who].value[3] = 0
        }
    od
}
#endif

#ifdef NO_FENCE
#define FENCE skip
#else
#define FENCE DRAINED
#endif

inline critical()
{
    atomic { inside++; assert(inside == 1) };
    inside--
}

init
{
    byte i;
    atomic {
        for (i : 0 .. N - 1) {
            run locker(i);
#ifndef SC
            run drain(i)
#endif
        }
        i = 0
    }
}
