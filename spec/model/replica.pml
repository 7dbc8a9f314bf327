/*
 * Primary and replicas, as lua/shm/replica/follow.lua does them: terms, fencing, taking over.
 *
 * Each node has a log with one word of a term and a count. Only the node counts up, by a
 * compare-and-swap that expects its term; anybody may raise the term. Whoever thinks that the
 * primary is gone takes the next term by a swap, raises it in all logs, takes over the changes
 * of the furthest, and writes. Nobody is asked whether the primary is dead: here it never
 * is, only slow, which is the worst case; who stops for ever is dead.
 *
 * Holds: a term has one primary; what was acknowledged is in the log of every primary after
 * it, at its place; what was refused is in no log that counts.
 *
 * Switches, each a defect: NO_RAISE raises the term in its own log alone; READ_FIRST looks
 * who is furthest before it raises; COUNT_ANYWAY does not look at the term when it counts;
 * TERM_BY_STORE takes a term without a swap; KEEP_OWN takes over nobody's changes.
 */
#ifndef N
#define N 3
#endif
#ifndef WRITES
#define WRITES 2 /* all together */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 3 /* the first primary among them */
#endif
#define MOST (WRITES + 1)
#define AT(node, n) made[(node) * MOST + (n)]

byte term;              /* the group's */
byte leader[TAKEOVERS + 1];
byte taking[N];         /* the term in which a node takes writes */
byte raised[N];         /* of each log's word: the term, and the count */
byte count[N];
byte made[N * MOST];    /* by number: the term in which the change was made, 0 for none */
byte acked[MOST];       /* by number: the term of the one that was acknowledged */
byte writes, takeovers;

/* The last change's term first, then how many there are. */
#define LAST(x) (count[x] -> AT(x, count[x] - 1) : 0)
#define FURTHER(x, y) (LAST(x) > LAST(y) || LAST(x) == LAST(y) && count[x] > count[y])

inline choose() {
    best = _pid;
    i = 0;
    do
    :: i < N ->
        if
        :: atomic { FURTHER(i, best) -> best = i }
        :: else
        fi;
        i++
    :: else -> break
    od
}

inline raise_all() {
    i = 0;
    do
    :: i < N ->
        atomic {
            if
            :: raised[i] < mine -> raised[i] = mine
            :: raised[i] > mine -> lost = true
            :: else
            fi
        };
        i++
    :: else -> break
    od
}

active [N] proctype node() {
    byte mine, i, best, n;
    bool leads, lost;
end_idle:
    do
    /* writes */
    :: atomic { leads && writes < WRITES -> n = count[_pid]; writes++ };
        atomic { /* the swap */
            if
#ifdef COUNT_ANYWAY
            :: true ->
#else
            :: raised[_pid] == mine ->
#endif
                AT(_pid, n) = mine;
                count[_pid] = n + 1
            :: raised[_pid] != mine ->
                leads = false
            fi
        };
        if
        :: leads -> acked[n] = mine /* the caller hears of it, later */
        :: else
        fi
    /* takes over */
    :: atomic { !leads && takeovers < TAKEOVERS -> takeovers++; lost = false };
#ifdef TERM_BY_STORE
        mine = term + 1;
        term = mine;
        atomic { assert(leader[mine] == 0); leader[mine] = _pid + 1 };
#else
        atomic { mine = term + 1; term = mine; leader[mine] = _pid + 1 };
#endif
#ifdef READ_FIRST
        choose();
#endif
#ifdef NO_RAISE
        atomic {
            if
            :: raised[_pid] < mine -> raised[_pid] = mine
            :: else -> lost = true
            fi
        };
#else
        raise_all();
#endif
#ifndef READ_FIRST
        choose();
#endif
#ifdef KEEP_OWN
        best = _pid;
#endif
        if
        :: !lost && best != _pid ->
            atomic { /* the copy is made anew: nobody reads it before it is whole */
                if
                :: raised[_pid] == mine ->
                    n = 0;
                    do
                    :: n < MOST -> AT(_pid, n) = AT(best, n); n++
                    :: else -> break
                    od;
                    count[_pid] = count[best]
                :: else -> lost = true
                fi
            }
        :: else
        fi;
        atomic {
            if
            :: !lost && raised[_pid] == mine -> /* else what it writes is refused */
                taking[_pid] = mine;
                leads = true;
                n = 0;
                do
                :: n < MOST ->
                    assert(acked[n] == 0 || (n < count[_pid] && AT(_pid, n) == acked[n]));
                    n++
                :: else -> break
                od
            :: else
            fi
        }
    /* follows, one change */
    :: atomic { !leads && leader[term] > 0 -> mine = term; best = leader[mine] - 1 };
        if
        :: best != _pid && taking[best] == mine ->
            atomic {
                if
                :: raised[_pid] < mine -> raised[_pid] = mine
                :: else
                fi
            };
            n = count[_pid];
            if
            :: n < count[best] ->
                i = AT(best, n); /* counted: it stays */
                atomic {
                    if
                    :: raised[_pid] == mine -> AT(_pid, n) = i; count[_pid] = n + 1
                    :: else
                    fi
                }
            :: else
            fi
        :: else
        fi
    :: writes == WRITES && takeovers == TAKEOVERS -> break
    od
}
