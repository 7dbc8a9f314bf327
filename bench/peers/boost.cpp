/*
 * The works of the bench with Boost.Interprocess: a line says which and how often, the
 * answer is the nanoseconds of one time. Started with the beginning of names in /dev/shm.
 */
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sched.h>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace bip = boost::interprocess;
using std::string;
using semaphore = bip::interprocess_semaphore;

static string prefix;
static cpu_set_t anywhere;

static double seconds(clockid_t clock)
{
    timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double now()
{
    return seconds(CLOCK_MONOTONIC);
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, cpu < 0 ? &anywhere : &set);
}

/* Memory that children share, for semaphores. */
static semaphore *counts(unsigned n)
{
    void *at = mmap(nullptr, n * sizeof(semaphore), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < n; i++)
        new ((semaphore *)at + i) semaphore(0);
    return (semaphore *)at;
}

static void forget(semaphore *at, unsigned n)
{
    munmap(at, n * sizeof(semaphore));
}

static pid_t beside(int cpu, const std::function<void()> &f)
{
    pid_t parent = getpid(), pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    pin(cpu);
    f();
    _exit(0);
}

static std::vector<int> numbers(const string &list)
{
    std::vector<int> found;
    std::stringstream stream(list);
    for (string word; std::getline(stream, word, ',');)
        found.push_back(std::stoi(word));
    return found;
}

/* Seconds of one of the median batch of ten. */
static double batches(long n, const std::function<void()> &f)
{
    std::vector<double> times;
    long size = std::min(n, 10L);
    for (long i = 0; i < n / size; i++) {
        double start = now();
        for (long k = 0; k < size; k++)
            f();
        times.push_back(now() - start);
    }
    for (long k = 0; k < n % size; k++) /* which the other side does, too */
        f();
    std::sort(times.begin(), times.end());
    return times[times.size() / 2] / (double)size;
}

static double locks(long n)
{
    static bip::interprocess_mutex mutex;
    double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < n; i++) {
        mutex.lock();
        mutex.unlock();
    }
    return (seconds(CLOCK_PROCESS_CPUTIME_ID) - start) / (double)n;
}

static double handover(int one, int other, long n)
{
    semaphore *there = counts(2), *back = there + 1;
    pid_t child = beside(other, [=] {
        for (long i = 0; i < n; i++) {
            there->wait();
            back->post();
        }
    });
    pin(one);
    double took = batches(n, [=] {
        there->post();
        back->wait();
    });
    pin(-1);
    waitpid(child, nullptr, 0);
    forget(there, 2);
    return took;
}

/* As many bytes as our queues have, and at least eight messages. */
static std::unique_ptr<bip::message_queue> queue(const char *word, size_t size)
{
    string name = prefix + word;
    auto made = std::make_unique<bip::message_queue>(
        bip::create_only, name.c_str(),
        std::max<size_t>(8, ((size_t)4 << 20) / (size + 64)), size);
    bip::message_queue::remove(name.c_str());
    return made;
}

static double oneway(size_t size, int one, const std::vector<int> &others, long n)
{
    static std::unique_ptr<bip::message_queue> made;
    static size_t made_for;
    if (!made || made_for != size) {
        made = queue("one", size);
        made_for = size;
    }
    bip::message_queue *there = made.get();
    semaphore *ready = counts(2), *go = ready + 1;
    std::vector<char> data(size);
    for (int cpu : others)
        beside(cpu, [&] {
            ready->post();
            go->wait();
            for (long i = 0; i < n; i++)
                there->send(data.data(), size, 0);
        });
    pin(one);
    for (size_t i = 0; i < others.size(); i++)
        ready->wait();
    double start = now();
    for (size_t i = 0; i < others.size(); i++)
        go->post();
    size_t got;
    unsigned priority;
    for (long i = 0; i < n * (long)others.size(); i++)
        there->receive(data.data(), size, got, priority);
    double took = (now() - start) / (double)(n * (long)others.size());
    pin(-1);
    while (wait(nullptr) > 0)
        ;
    forget(ready, 2);
    return took;
}

static double trip(size_t size, int one, int other, long n)
{
    static std::unique_ptr<bip::message_queue> there, back;
    static size_t made_for;
    if (!there || made_for != size) {
        there = queue("there", size);
        back = queue("back", size);
        made_for = size;
    }
    std::vector<char> data(size);
    size_t got;
    unsigned priority;
    pid_t child = beside(other, [&] {
        for (long i = 0; i < n; i++) {
            there->receive(data.data(), size, got, priority);
            back->send(data.data(), size, 0);
        }
    });
    pin(one);
    double took = batches(n, [&] {
        there->send(data.data(), size, 0);
        back->receive(data.data(), size, got, priority);
    });
    pin(-1);
    waitpid(child, nullptr, 0);
    return took;
}

/* Keys have their place in the nodes, as short strings have in ours. */
struct key {
    char text[24];
    bool operator<(const key &other) const
    {
        return strcmp(text, other.text) < 0;
    }
};

using node = std::pair<const key, int64_t>;
using nodes = bip::allocator<node, bip::managed_shared_memory::segment_manager>;
using map = bip::map<key, int64_t, std::less<key>, nodes>;

static std::unique_ptr<bip::managed_shared_memory> memory;
static map *shared;
static bip::interprocess_mutex *turn;
static std::vector<key> keys;

static double fill(const string &path)
{
    std::ifstream file(path);
    for (string line; std::getline(file, line);) {
        key next = {};
        line.copy(next.text, sizeof next.text - 1);
        keys.push_back(next);
    }
    string name = prefix + "map";
    memory = std::make_unique<bip::managed_shared_memory>(bip::create_only, name.c_str(),
                                                          (keys.size() + 10000) * 160);
    bip::shared_memory_object::remove(name.c_str());
    turn = memory->construct<bip::interprocess_mutex>("turn")();
    shared =
        memory->construct<map>("map")(std::less<key>(), memory->get_segment_manager());
    for (size_t i = 0; i < keys.size(); i++)
        shared->emplace(keys[i], (int64_t)i);
    return 1e-9;
}

static double empty()
{
    memory.reset();
    keys.clear();
    return 1e-9;
}

static void change(const string &word, size_t among, size_t first, long n)
{
    volatile int64_t sum = 0;
    bool get = word == "get", set = word == "set", incr = word == "incr";
    for (size_t i = first; i < first + (size_t)n; i++) {
        bip::scoped_lock<bip::interprocess_mutex> lock(*turn);
        auto found = shared->find(keys[i % among]);
        if (get || (!set && !incr && i % 10 != 0))
            sum = found->second;
        else
            found->second = incr ? found->second + 1 : (int64_t)i;
    }
    (void)sum;
}

static double table(const string &word, size_t among, const std::vector<int> &cpus,
                    long n)
{
    semaphore *ready = counts(3), *go = ready + 1, *done = ready + 2;
    for (size_t at = 0; at < cpus.size(); at++)
        beside(cpus[at], [&] {
            ready->post();
            go->wait();
            change(word, among, at * among / cpus.size(), n);
            done->post();
        });
    for (size_t i = 0; i < cpus.size(); i++)
        ready->wait();
    double start = now();
    for (size_t i = 0; i < cpus.size(); i++)
        go->post();
    for (size_t i = 0; i < cpus.size(); i++)
        done->wait();
    double took = (now() - start) / (double)(n * (long)cpus.size());
    while (wait(nullptr) > 0)
        ;
    forget(ready, 3);
    return took;
}

static double attach(long n)
{
    string name = prefix + "segment";
    bip::managed_shared_memory made(bip::create_only, name.c_str(), 65536);
    double start = now();
    for (long i = 0; i < n; i++)
        bip::managed_shared_memory other(bip::open_only, name.c_str());
    double took = (now() - start) / (double)n;
    bip::shared_memory_object::remove(name.c_str());
    return took;
}

static double answer(const std::vector<string> &words)
{
    const string &what = words[0];
    long n = what == "fill" || what == "empty" ? 0 : std::stol(words.back());
    if (what == "locks")
        return locks(n);
    if (what == "handover")
        return handover(std::stoi(words[1]), std::stoi(words[2]), n);
    if (what == "oneway")
        return oneway(std::stoul(words[1]), std::stoi(words[2]), numbers(words[3]), n);
    if (what == "trip")
        return trip(std::stoul(words[1]), std::stoi(words[2]), std::stoi(words[3]), n);
    if (what == "attach")
        return attach(n);
    if (what == "fill")
        return fill(words[1]);
    if (what == "empty")
        return empty();
    if (what == "table")
        return table(words[1], std::stoul(words[2]), numbers(words[3]), n);
    throw std::runtime_error("no such work: " + what);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    prefix = argv[1];
    sched_getaffinity(0, sizeof anywhere, &anywhere);
    std::cout << "ready" << std::endl;
    for (string line; std::getline(std::cin, line) && line != "quit";) {
        std::istringstream stream(line);
        std::vector<string> words;
        for (string word; stream >> word;)
            words.push_back(word);
        try {
            std::cout << answer(words) * 1e9 << std::endl;
        } catch (const std::exception &error) {
            std::cout << error.what() << std::endl;
        }
    }
}
